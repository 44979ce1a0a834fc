"""Random codes: VQ-VAE with a codebook that never learns, the floor of every comparison.

Paper: none. The codes are drawn once from N(0, 1) and frozen; only the encoder and the decoder
    adapt to them.

    token = argmin_k ||z_e - c_k||^2,  z_q = its code
    loss = beta ||z_e - sg[z_q]||^2, mean over elements
    the decoder's gradient at z_q is passed to z_e unchanged

Differs from the paper: there is none; the equations are VQ-VAE's without its codebook loss.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from collapsebench import ops
from collapsebench.quantizer import Quantized, Quantizer
from collapsebench.settings import NonNegative


class RandomCodes(Quantizer):
    label = "random codes"
    network = "vqvae"
    recordable = True
    on_purpose = frozenset({"codes are fixed"})

    @dataclass(frozen=True)
    class Settings:
        beta: NonNegative = 0.25  # VQ-VAE, section 3.2

    codebook: Tensor  # (K, D)

    def __init__(self, codebook_size: int, code_dim: int, settings: Settings):
        super().__init__(codebook_size, code_dim, settings)
        self.register_buffer("codebook", ops.random_codebook("normal", codebook_size, code_dim))

    def forward(self, z_e: Tensor) -> Quantized:
        tokens = ops.nearest(ops.channels_last(z_e), self.codebook)
        z_q = self.embed(tokens)

        commitment = functional.mse_loss(z_e, z_q)
        loss = self.settings.beta * commitment
        terms = {"commitment": commitment.detach()}
        return Quantized(ops.straight_through(z_e, z_q), tokens, loss, terms)

    def embed(self, tokens: Tensor) -> Tensor:
        return ops.lookup(self.codebook, tokens)
