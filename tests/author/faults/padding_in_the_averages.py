"""Padding enters the averages."""

from tests.author.faults.right import AverageVQ

CHECK = "masked"


class PaddingInTheAverages(AverageVQ):
    def forward(self, z, mask=None):
        training, self.training = self.training, False
        output = super().forward(z, mask)
        self.training = training
        if training:
            self.update(z.detach().flatten(0, 1), output["indices"].flatten())
        return output
