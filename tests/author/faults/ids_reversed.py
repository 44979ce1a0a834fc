"""The look-up counts from the other end."""

from tests.author.faults.right import PlainVQ

CHECK = "token_round_trip"


class IdsReversed(PlainVQ):
    def get_codes_from_indices(self, tokens):
        return self.codebook[len(self.codebook) - 1 - tokens]
