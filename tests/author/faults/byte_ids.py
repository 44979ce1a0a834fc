"""Ids in a type that ends at 255."""

import torch

from tests.author.faults.right import PlainVQ

CHECK = "token_round_trip"


class ByteIds(PlainVQ):
    def __init__(self, dim=8, codebook_size=400):
        super().__init__(dim, codebook_size)

    def forward(self, z):
        vectors, tokens, loss = super().forward(z)
        return vectors, tokens.to(torch.uint8), loss
