"""Rotation trick: each vector is turned and stretched onto its code, and the gradient turned back.

Paper: Fifty, Junkins, Duan, Iyengar, Liu, Amid, Thrun, Re. Restructuring vector quantization with
    the rotation trick. ICLR 2025. https://arxiv.org/abs/2410.06424
Reference code: cfifty/rotation_trick, src/models/vq_vae.py, VQVAE, 9910492.

    token = argmin_k ||z_e - c_k||^2,  q = its code
    u = z_e / ||z_e||,  v = q / ||q||,  w = (u + v) / ||u + v||,  lambda = ||q|| / ||z_e||
    z_q = lambda R z_e = q,  R = I - 2 w w^T + 2 v u^T; all but z_e constant for the gradient:
    g at z_q becomes lambda R^T g = lambda (g - 2 (g.w) w + 2 (g.v) u) at z_e
    loss = beta ||z_e - sg[q]||^2, mean over elements
    N_k <- d N_k + (1 - d) n_k,  M_k <- d M_k + (1 - d) sum of its z_e,  c_k = M_k / N_k smoothed

Differs from the paper:
    1. The code adds 1e-6 to norms: its z_q misses q by 3e-6, is 0 at z_e = 0 and 3 q where they are
       antiparallel. Here z_q is q; w = 0 if ||u + v|| < 1e-6; in lambda, which has no other bound
       and is logged, ||z_e|| is at least 1e-6.
    2. The VQGAN tables train codes by gradient: ``codebook``, with VQ-VAE's codebook loss. Their
       code, table_3/rot_vqgan.py, rotates u and loses the gradient along z_e: not here.
    3. The code starts at c = M = U(-b, b), b = sqrt(6 / (K D)), N = 0, and replaces nothing: the
       first update throws an unused code to 0.8 c / eps; it is back after 50, then shrinks to 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from collapsebench import ops
from collapsebench.quantizer import Quantized, Quantizer
from collapsebench.settings import NonNegative, Share

SMALL = 1e-6  # what the reference code adds to norms


class RotationVQ(Quantizer):
    label = "Rotation trick"
    network = "vqvae"
    recordable = True

    @dataclass(frozen=True)
    class Settings:
        estimator: Literal["rotation", "straight_through"] = "rotation"  # the paper
        codebook: Literal["ema", "gradient"] = "ema"  # reference code
        decay: Share = 0.8  # reference code
        cosine: bool = False  # z_e, codes and q normalised; reference code, scripts.sh: True
        beta: NonNegative = 1.0  # reference code, train_utils/utils.py

    codebook: Tensor  # (K, D)
    ema_counts: Tensor  # (K,)
    ema_sums: Tensor  # (K, D)

    def __init__(self, codebook_size: int, code_dim: int, settings: Settings):
        super().__init__(codebook_size, code_dim, settings)
        codebook = nn.init.kaiming_uniform_(torch.empty(1, codebook_size, code_dim))[0]
        if settings.codebook == "gradient":
            self.codebook = nn.Parameter(codebook)
            return
        self.register_buffer("codebook", self._scaled(codebook))
        self.register_buffer("ema_counts", torch.zeros(codebook_size))
        self.register_buffer("ema_sums", self.codebook.clone())

    def _scaled(self, x: Tensor, shortest: float = 1e-12) -> Tensor:
        return functional.normalize(x, dim=-1, eps=shortest) if self.settings.cosine else x

    def forward(self, z_e: Tensor) -> Quantized:
        z, codes = self._scaled(ops.channels_last(z_e), SMALL), self._scaled(self.codebook)
        tokens = ops.nearest(z, codes)
        q = functional.embedding(tokens, codes)  # (B, H, W, D)

        commitment = functional.mse_loss(z, q.detach())
        loss = self.settings.beta * commitment
        if self.settings.codebook == "gradient":
            loss = loss + functional.mse_loss(q, z.detach())

        stretch = (q.norm(dim=-1) / z.norm(dim=-1).clamp(min=SMALL)).detach()
        rotate = self.settings.estimator == "rotation"
        output = _Rotation.apply(z, q, stretch) if rotate else ops.straight_through(z, q)
        if self.settings.cosine:  # the decoder sees q / ||q||
            output = ops.straight_through(self._scaled(output), q)
        terms = {"commitment": commitment.detach(), "lambda": stretch.mean()}
        return Quantized(ops.channels_first(output), tokens, loss, terms)

    @torch.no_grad()
    def update(self, z_e: Tensor, tokens: Tensor) -> None:
        if self.settings.codebook == "gradient":
            return
        z = self._scaled(ops.channels_last(z_e), SMALL)
        counts, sums = ops.counts_and_sums(z, tokens, self.codebook_size)
        self.ema_counts.lerp_(counts, 1 - self.settings.decay)
        self.ema_sums.lerp_(sums, 1 - self.settings.decay)
        smoothed = ops.smoothed_counts(self.ema_counts, 1e-5)  # reference code
        self.codebook.copy_(self._scaled(self.ema_sums / smoothed[:, None]))

    def embed(self, tokens: Tensor) -> Tensor:
        return ops.lookup(self._scaled(self.codebook), tokens)

    def codes(self) -> Tensor:
        return self._scaled(self.codebook).detach()


class _Rotation(torch.autograd.Function):  # value q; the gradient goes to z alone
    @staticmethod
    def forward(ctx: Any, z: Tensor, q: Tensor, stretch: Tensor) -> Tensor:
        ctx.save_for_backward(z, q, stretch)
        return q.clone()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        z, q, stretch = ctx.saved_tensors
        u, v = functional.normalize(z, dim=-1), functional.normalize(q, dim=-1)
        length = (u + v).norm(dim=-1, keepdim=True)
        w = torch.where(length < SMALL, 0.0, (u + v) / length)
        g_w, g_v = (g * w).sum(-1, keepdim=True), (g * v).sum(-1, keepdim=True)
        return stretch[..., None] * (g - 2 * g_w * w + 2 * g_v * u), None, None
