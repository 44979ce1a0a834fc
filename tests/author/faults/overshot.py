"""In training the decoder sees the vector mirrored at its code."""

from tests.author.faults.right import PlainVQ

CHECK = "encoder_gradient"


class Overshot(PlainVQ):
    def shown(self, z, codes):
        return z - (codes - z).detach() if self.training else codes
