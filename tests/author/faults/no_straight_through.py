"""The code itself goes on: its gradient ends at the codebook."""

from tests.author.faults.right import PlainVQ

CHECK = "encoder_gradient"


class NoStraightThrough(PlainVQ):
    def shown(self, z, codes):
        return codes
