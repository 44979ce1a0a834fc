"""A factor on the way to the decoder that the look-up does not know."""

from tests.author.faults.right import Residual

CHECK = "decoding"


class ScaleForgotten(Residual):
    def scaled(self, shown):
        return 0.5 * shown
