"""The same with one codebook."""

from tests.author.faults.right import PlainVQ

CHECK = "decoding"


class ScaleOfOneCodeForgotten(PlainVQ):
    def get_codes_from_indices(self, tokens):
        return self.codebook[tokens] / 3
