"""VQ-VAE: the nearest code replaces each vector; gradients pass straight through it.

Paper: van den Oord, Vinyals, Kavukcuoglu. Neural discrete representation learning. NIPS 2017.
    https://arxiv.org/abs/1711.00937
Reference code: zalandoresearch/pytorch-vq-vae, VectorQuantizer, b98fde9.

    token = argmin_k ||z_e - c_k||^2,  z_q = its code                       eq. 1, 2
    loss = ||sg[z_e] - z_q||^2 + beta ||z_e - sg[z_q]||^2, mean over elements      eq. 3
    the decoder's gradient at z_q is passed to z_e unchanged                section 3.2

Differs from the paper:
    1. Equation 3 sums the squared norms; the code takes means over all elements.
    2. DeepMind's example divides the reconstruction error by the variance of the training pixels:
       ``pixel_variance``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from collapsebench import ops
from collapsebench.quantizer import Quantized, Quantizer
from collapsebench.settings import NonNegative, PositiveFloat


class VQVAE(Quantizer):
    label = "VQ-VAE"
    network = "vqvae"
    recordable = True

    @dataclass(frozen=True)
    class Settings:
        beta: NonNegative = 0.25  # section 3.2
        codebook_init: Literal["uniform", "sonnet", "normal"] = "uniform"  # reference code
        pixel_variance: PositiveFloat = 1.0  # divides the MSE; 0.063 = DeepMind's on CIFAR10

    def __init__(self, codebook_size: int, code_dim: int, settings: Settings):
        super().__init__(codebook_size, code_dim, settings)
        codebook = ops.random_codebook(settings.codebook_init, codebook_size, code_dim)
        self.codebook = nn.Parameter(codebook)

    def forward(self, z_e: Tensor) -> Quantized:
        tokens = ops.nearest(ops.channels_last(z_e), self.codebook)
        z_q = self.embed(tokens)

        commitment = functional.mse_loss(z_e, z_q.detach())
        codebook = functional.mse_loss(z_q, z_e.detach())
        loss = codebook + self.settings.beta * commitment
        terms = {"commitment": commitment.detach()}
        return Quantized(ops.straight_through(z_e, z_q), tokens, loss, terms)

    def embed(self, tokens: Tensor) -> Tensor:
        return ops.lookup(self.codebook, tokens)

    def reconstruction_loss(self, x_hat: Tensor, x: Tensor) -> Tensor:
        return super().reconstruction_loss(x_hat, x) / self.settings.pixel_variance
