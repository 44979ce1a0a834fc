"""A count of usage that evaluation changes."""

import torch

from tests.author.faults.right import PlainVQ

CHECK = "evaluation"


class UsageInEval(PlainVQ):
    def __init__(self, dim=8, codebook_size=64, beta=0.25):
        super().__init__(dim, codebook_size, beta)
        self.register_buffer("usage", torch.zeros(codebook_size))

    def forward(self, z):
        vectors, tokens, loss = super().forward(z)
        self.usage += tokens.flatten().bincount(minlength=len(self.usage))
        return vectors, tokens, loss
