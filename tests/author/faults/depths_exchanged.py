"""The look-up takes the codebooks in another order."""

from tests.author.faults.right import Residual

CHECK = "decoding"


class DepthsExchanged(Residual):
    def get_output_from_indices(self, tokens):
        return super().get_output_from_indices(tokens.flip(-1))
