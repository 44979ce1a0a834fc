"""Ids as floats."""

from tests.author.faults.right import PlainVQ

CHECK = "token_round_trip"


class FloatIds(PlainVQ):
    def forward(self, z):
        vectors, tokens, loss = super().forward(z)
        return vectors, tokens.float(), loss
