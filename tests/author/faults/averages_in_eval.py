"""The averages move in evaluation too."""

from tests.author.faults.right import AverageVQ

CHECK = "evaluation"


class AveragesInEval(AverageVQ):
    def forward(self, z, mask=None):
        output = super().forward(z, mask)
        if not self.training:
            self.update(z.detach().flatten(0, 1), output["indices"].flatten())
        return output
