"""CVQ-VAE: after each step every code moves towards a vector of the batch, the rarer the further.

Paper: Zheng, Vedaldi. Online clustered codebook. ICCV 2023. https://arxiv.org/abs/2307.15139
Reference code: lyndonzheng/CVQ-VAE, quantise.py, VectorQuantiser, 04864b7.

    token = argmax_k cos(z_e, c_k), or argmin_k ||z_e - c_k||^2;  z_q = its code, not normalised
    loss = ||sg[z_e] - z_q||^2 + beta ||z_e - sg[z_q]||^2, mean over elements
    the decoder's gradient at z_q is passed to z_e unchanged
    p_k <- d p_k + (1 - d) its share of the batch,  p = 0 at the start
    alpha_k = exp(-10 K p_k / (1 - d) - 1e-3),  c_k <- (1 - alpha_k) c_k + alpha_k a_k
    anchor a_k: the z_e most similar to c_k (closest), one drawn from the softmax of all
        similarities to c_k (probrandom), or row k of a pool of earlier z_e (random)

Differs from the paper:
    1. The code moves the codes before Adam steps with the gradient of the old ones; here after.
       The two differ by alpha times Adam's step, which is 0 for a code in steady use.
    2. ``anchor``: the training script's default is closest, the class's probrandom. With closest
       many codes get the same vector: the codebook starts with near duplicates.
    3. Ties between codes go to the highest index: the code sorts and takes the last.
    4. The code divides the MSE on [-1, 1] by the variance of pixels on [0, 1]: ``pixel_variance``.
    5. Left out, off in the code: its contrastive loss, its single move at the start. Its pool
       fails unless K is a multiple of a batch smaller than it; here what fits goes in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Lt
from torch import Tensor, nn
from torch.nn import functional

from collapsebench import ops
from collapsebench.quantizer import Quantized, Quantizer
from collapsebench.settings import NonNegative, PositiveFloat


class CVQVAE(Quantizer):
    label = "CVQ-VAE"
    network = "vqvae"
    recordable = True

    @dataclass(frozen=True)
    class Settings:
        beta: NonNegative = 0.25  # reference code, main.py
        distance: Literal["cos", "l2"] = "cos"  # reference code, main.py
        anchor: Literal["closest", "probrandom", "random"] = "closest"  # reference code, main.py
        decay: Annotated[float, Ge(0), Lt(1)] = 0.99  # reference code
        pixel_variance: PositiveFloat = 1.0  # divides the MSE; 0.0158 = the code's on CIFAR10

    ema_shares: Tensor  # (K,), p
    pool: Tensor  # (K, D)
    pooled: Tensor  # (), rows of the pool that have been a z_e

    def __init__(self, codebook_size: int, code_dim: int, settings: Settings):
        super().__init__(codebook_size, code_dim, settings)
        codebook = ops.random_codebook("uniform", codebook_size, code_dim)  # reference code
        self.codebook = nn.Parameter(codebook)
        self.register_buffer("ema_shares", torch.zeros(codebook_size))
        if settings.anchor == "random":
            self.register_buffer("pool", ops.random_codebook("uniform", codebook_size, code_dim))
            self.register_buffer("pooled", torch.tensor(0))

    def forward(self, z_e: Tensor) -> Quantized:
        with torch.no_grad():  # the codes backwards, so that a tie goes to the last of them
            similarity = self._similarity(ops.channels_last(z_e), self.codebook.flip(0))
        tokens = self.codebook_size - 1 - similarity.argmax(-1)
        z_q = self.embed(tokens)

        commitment = functional.mse_loss(z_e, z_q.detach())
        codebook = functional.mse_loss(z_q, z_e.detach())
        loss = codebook + self.settings.beta * commitment
        terms = {"commitment": commitment.detach()}
        return Quantized(ops.straight_through(z_e, z_q), tokens, loss, terms)

    def _similarity(self, z: Tensor, codebook: Tensor) -> Tensor:  # (..., D), (K, D) -> (..., K)
        if self.settings.distance == "l2":  # in the code's order: rounding parts near duplicates
            squares = z.square().sum(-1, keepdim=True) + codebook.square().sum(-1)
            return 2 * z @ codebook.t() - squares
        return functional.normalize(z, dim=-1) @ functional.normalize(codebook, dim=-1).t()

    @torch.no_grad()
    def update(self, z_e: Tensor, tokens: Tensor) -> None:
        z = ops.channels_last(z_e).reshape(-1, self.code_dim)
        counts, _ = ops.counts_and_sums(z, tokens, self.codebook_size)
        decay = self.settings.decay
        self.ema_shares.lerp_(counts / len(z), 1 - decay)
        self.codebook.copy_(pulled(self.codebook, self.ema_shares, self._anchors(z), decay))

    def _anchors(self, z: Tensor) -> Tensor:
        if self.settings.anchor == "random":
            return self._filled_pool(z)
        similarity = self._similarity(z, self.codebook)  # (M, K)
        if self.settings.anchor == "closest":
            return z[similarity.argmax(0)]
        return z[ops.multinomial(similarity.t().softmax(-1), 1)[:, 0]]

    def _filled_pool(self, z: Tensor) -> Tensor:
        size, first = self.codebook_size, int(self.pooled)
        if len(z) > size:
            self.pool.copy_(z[ops.integers(size, len(z), z.device)])
        else:
            free = torch.arange(first, min(first + len(z), size), device=z.device)
            places = free if first < size else ops.permutation(size, z.device)[: len(z)]
            self.pool[places] = z[: len(places)]
        self.pooled.fill_(min(first + len(z), size))
        return self.pool

    def embed(self, tokens: Tensor) -> Tensor:
        return ops.lookup(self.codebook, tokens)

    def reconstruction_loss(self, x_hat: Tensor, x: Tensor) -> Tensor:
        return super().reconstruction_loss(x_hat, x) / self.settings.pixel_variance


def pulled(codes: Tensor, shares: Tensor, anchors: Tensor, decay: float) -> Tensor:
    """Codes (K, D) of moving shares p (K,), pulled towards their anchors (K, D)."""
    alpha = torch.exp(-10 * len(codes) * shares / (1 - decay) - 1e-3)[:, None]
    return (1 - alpha) * codes + alpha * anchors
