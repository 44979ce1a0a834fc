"""Padding adds nothing and is counted."""

from tests.author.faults.right import AverageVQ

CHECK = "masked"


class PaddingInTheDenominator(AverageVQ):
    def loss(self, z, codes, mask):
        off = (z - codes).square().mean(-1)
        return 0.25 * (off if mask is None else off * mask).mean()
