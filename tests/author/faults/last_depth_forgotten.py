"""The look-up sums all depths but the last."""

from tests.author.faults.right import Residual

CHECK = "decoding"


class LastDepthForgotten(Residual):
    def get_output_from_indices(self, tokens):
        pairs = zip(self.codebooks[:-1], tokens.unbind(-1)[:-1], strict=True)
        return sum(codebook[index] for codebook, index in pairs)
