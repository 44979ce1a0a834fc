"""The input is normalised in place."""

from tests.author.faults.right import PlainVQ

CHECK = "side_effects"


class NormalisedInPlace(PlainVQ):
    def forward(self, z):
        z.div_(z.detach().norm(dim=-1, keepdim=True))
        return super().forward(z)
