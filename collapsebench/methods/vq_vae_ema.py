"""VQ-VAE-EMA: VQ-VAE whose codes are moving averages of the vectors they were given.

Paper: van den Oord, Vinyals, Kavukcuoglu. Neural discrete representation learning. NIPS 2017,
    appendix A.1. https://arxiv.org/abs/1711.00937
Reference code: google-deepmind/sonnet (v2), VectorQuantizerEMA, 26b0518;
    zalandoresearch/pytorch-vq-vae, VectorQuantizerEMA, b98fde9.

    token = argmin_k ||z_e - c_k||^2,  z_q = its code                       eq. 1, 2
    loss = beta ||z_e - sg[z_q]||^2, mean over elements                     eq. 3
    N_k <- d N_k + (1 - d) n_k,  M_k <- d M_k + (1 - d) sum of its z_e      eq. 6, 7
    c_k = M_k / N_k, N smoothed: (N_k + eps) / (sum N + K eps) sum N        eq. 8

Differs from the paper:
    1. Sonnet starts N and M at zero and divides both by 1 - d^t, so that the first codebook does
       not enter them and a code that never won becomes the zero vector. The popular PyTorch port
       (``ema = "zalando"``) starts M at N(0, 1), has no such division, and stores the smoothed
       counts; its dead codes are thrown far away. The choice dominates this baseline; the EdVAE
       paper does not name one.
    2. Codebook "uniform as in [5]" (EdVAE appendix C) is U(-1/K, 1/K); sonnet's own default is
       U(-sqrt(3/D), sqrt(3/D)), the port's N(0, 1): ``codebook_init``.
    3. The EdVAE paper calls the decay 0.99 "weight decay".
    4. DeepMind's example divides the reconstruction error by the variance of the training pixels;
       whether the EdVAE authors did is not known: ``pixel_variance``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from collapsebench import ops
from collapsebench.quantizer import Quantized, Quantizer
from collapsebench.settings import NonNegative, PositiveFloat, Share


class VQVAEEMA(Quantizer):
    label = "VQ-VAE-EMA"
    network = "vqvae"
    recordable = True

    @dataclass(frozen=True)
    class Settings:
        beta: NonNegative = 0.25  # section 3.2; EdVAE appendix C
        decay: Share = 0.99  # appendix A.1; EdVAE appendix C
        epsilon: PositiveFloat = 1e-5  # reference code
        ema: Literal["sonnet", "zalando"] = "sonnet"  # the authors' own code
        codebook_init: Literal["uniform", "sonnet", "normal"] = "uniform"  # EdVAE appendix C
        pixel_variance: PositiveFloat = 1.0  # divides the MSE; 0.063 = DeepMind's on CIFAR10

    codebook: Tensor  # (K, D)
    ema_counts: Tensor  # (K,)
    ema_sums: Tensor  # (K, D)
    updates: Tensor  # ()

    def __init__(self, codebook_size: int, code_dim: int, settings: Settings):
        super().__init__(codebook_size, code_dim, settings)
        codebook = ops.random_codebook(settings.codebook_init, codebook_size, code_dim)
        sums = torch.zeros_like(codebook)
        self.register_buffer("codebook", codebook)
        self.register_buffer("ema_counts", torch.zeros(codebook_size))
        self.register_buffer("ema_sums", sums if settings.ema == "sonnet" else sums.normal_())
        self.register_buffer("updates", torch.tensor(0.0))

    def forward(self, z_e: Tensor) -> Quantized:
        tokens = ops.nearest(ops.channels_last(z_e), self.codebook)
        z_q = self.embed(tokens)

        commitment = functional.mse_loss(z_e, z_q)
        loss = self.settings.beta * commitment
        terms = {"commitment": commitment.detach()}
        return Quantized(ops.straight_through(z_e, z_q), tokens, loss, terms)

    @torch.no_grad()
    def update(self, z_e: Tensor, tokens: Tensor) -> None:
        counts, sums = ops.counts_and_sums(ops.channels_last(z_e), tokens, self.codebook_size)
        self.ema_counts.lerp_(counts, 1 - self.settings.decay)
        self.ema_sums.lerp_(sums, 1 - self.settings.decay)
        self.updates += 1

        bias = 1.0 if self.settings.ema == "zalando" else 1 - self.settings.decay**self.updates
        smoothed = ops.smoothed_counts(self.ema_counts / bias, self.settings.epsilon)
        if self.settings.ema == "zalando":
            self.ema_counts.copy_(smoothed)
        self.codebook.copy_(self.ema_sums / bias / smoothed[:, None])

    def embed(self, tokens: Tensor) -> Tensor:
        return ops.lookup(self.codebook, tokens)

    def reconstruction_loss(self, x_hat: Tensor, x: Tensor) -> Tensor:
        return super().reconstruction_loss(x_hat, x) / self.settings.pixel_variance
