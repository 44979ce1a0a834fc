"""Tokens count from 1."""

from tests.author.faults.right import PlainVQ

CHECK = "reachable"


class TokensFromOne(PlainVQ):
    def forward(self, z):
        vectors, tokens, loss = super().forward(z)
        return vectors, tokens + 1, loss

    def get_codes_from_indices(self, tokens):
        return self.codebook[tokens - 1]
