"""The input is normalised in place, and autograd needed it as it was."""

from tests.author.faults.right import PlainVQ

CHECK = "side_effects"


class NormalisedInPlaceBeforeItsGradient(PlainVQ):
    def forward(self, z):
        z /= z.norm(dim=-1, keepdim=True)
        return super().forward(z)
