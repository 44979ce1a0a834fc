"""My VQ: one clause that says the idea.

Paper: authors. Title. Venue year. URL
Reference code: repository, path, commit.

    token = argmin_k |z_e - c_k|^2
    loss  = |sg[z_q] - z_e|^2 beta + |z_q - sg[z_e]|^2

Differs from the paper: nothing known.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from collapsebench.quantizer import Quantized, Quantizer


class MyVQ(Quantizer):
    label = "My VQ"
    network = "vqvae"  # the network family of the method's own paper

    @dataclass(frozen=True)
    class Settings:
        beta: float = 0.25  # weight of the commitment; say where each default comes from

    def __init__(self, codebook_size: int, code_dim: int, settings: Settings):
        super().__init__(codebook_size, code_dim, settings)
        self.codebook = nn.Parameter(torch.randn(codebook_size, code_dim))

    def forward(self, z_e: Tensor) -> Quantized:
        flat = z_e.permute(0, 2, 3, 1).flatten(0, 2)  # (B H W, D)
        distances = self.codebook.square().sum(1) - 2 * flat @ self.codebook.T
        tokens = distances.argmin(1).view(z_e.shape[0], *z_e.shape[2:])  # (B, H, W)

        z_q = self.embed(tokens)
        commitment = functional.mse_loss(z_e, z_q.detach())
        loss = ((z_q - z_e.detach()) ** 2).mean((1, 2, 3))

        if self.training:
            z_q = z_e + (z_q - z_e).detach()  # straight through
        return Quantized(z_q, tokens, loss, {"commitment": commitment.detach()})

    def embed(self, tokens: Tensor) -> Tensor:
        return self.codebook[tokens].permute(0, 3, 1, 2)
