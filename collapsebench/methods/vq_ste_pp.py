"""VQ-STE++: VQ-VAE with affine codes, a synchronised and an alternated codebook update.

Paper: Huh, Cheung, Agrawal, Isola. Straightening out the straight-through estimator: overcoming
    optimization challenges in vector quantized networks. ICML 2023. https://arxiv.org/abs/2305.08842
Reference code: minyoungg/vqtorch, VectorQuant, AffineTransform, ReplaceLRU, 02e60a1.

    e_k = (1 + a gamma) c_k + a delta,  gamma, delta per group, a = affine_lr
    token = argmin_k ||z_e - e_k||,  z_q = e_token                  losses are element means
    output = z_e + sg[z_q - z_e] + nu (z_q - sg[z_q])          value z_q; gradient nu to the code
    loss = commitment ((1 - s) ||z_e - sg[z_q]||^2 + s ||sg[z_e] - z_q||^2), s = codebook_share

Differs from the paper (which publishes no training code for these data sets: reconstructed):
    1. Defaults are the library's README's; its examples weigh the loss by 10: ``commitment``. Its
       "beta", on the codebook side, is ``codebook_share`` here.
    2. The library's alternation steps the codebook inside the forward (SGD, 50, momentum 0.9);
       ``alternate`` does so after the optimizer's step, which then leaves the codebook alone.
    3. K-means gives K rows, the library's may give fewer; distances are float32, its float16.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from collapsebench import ops
from collapsebench.quantizer import Incompatible, Quantized, Quantizer
from collapsebench.settings import Count, NonNegative, Positive, Share


class VQSTEPP(Quantizer):
    label = "VQ-STE++"
    network = "vqvae"
    recordable = True

    @dataclass(frozen=True)
    class Settings:
        codebook_share: Share = 0.98  # reference code, README
        commitment: NonNegative = 1.0  # not published
        nu: NonNegative = 0.2  # reference code, README
        affine_lr: NonNegative = 10.0  # reference code, README; 0 = no affine map
        groups: Positive = 1  # reference code
        kmeans: bool = True  # reference code, README
        alternate: bool = False  # reference code, examples
        replace: Count = 0  # steps unused before a code is replaced, reference code; 0 = never

    velocity: Tensor  # (K, D)
    lifetime: Tensor  # (K,)

    def __init__(self, codebook_size: int, code_dim: int, settings: Settings):
        super().__init__(codebook_size, code_dim, settings)
        if codebook_size % settings.groups:
            raise Incompatible(f"{codebook_size} codes do not split into {settings.groups} groups")
        codebook = torch.randn(codebook_size, code_dim)  # reference code
        self.codebook = nn.Parameter(codebook, requires_grad=not settings.alternate)
        affine = settings.affine_lr > 0
        self.scale = nn.Parameter(torch.zeros(settings.groups, code_dim), requires_grad=affine)
        self.bias = nn.Parameter(torch.zeros(settings.groups, code_dim), requires_grad=affine)
        self.register_buffer("velocity", torch.zeros_like(codebook))
        self.register_buffer("lifetime", torch.full((codebook_size,), settings.replace))

    @torch.no_grad()
    def initialize(self, z_e: Tensor) -> None:
        if self.settings.kmeans:
            points = ops.channels_last(z_e).reshape(-1, self.code_dim)
            self.codebook.copy_(ops.kmeans(points, self.codebook_size))

    def forward(self, z_e: Tensor) -> Quantized:
        codes = self._codes()
        tokens = ops.nearest(ops.channels_last(z_e), codes)
        z_q = ops.lookup(codes, tokens)

        commitment = functional.mse_loss(z_e, z_q.detach())
        codebook = functional.mse_loss(z_q, z_e.detach())
        share = self.settings.codebook_share
        loss = self.settings.commitment * ((1 - share) * commitment + share * codebook)

        output = ops.straight_through(z_e, z_q) + self.settings.nu * (z_q - z_q.detach())
        return Quantized(output, tokens, loss, {"commitment": commitment.detach()})

    def _affine(self) -> tuple[Tensor, Tensor]:
        rate, per_group = self.settings.affine_lr, self.codebook_size // self.settings.groups
        gain, shift = 1 + rate * self.scale, rate * self.bias
        return gain.repeat_interleave(per_group, 0), shift.repeat_interleave(per_group, 0)

    def _codes(self) -> Tensor:
        gain, shift = self._affine()
        return gain * self.codebook + shift  # (K, D)

    @torch.no_grad()
    def update(self, z_e: Tensor, tokens: Tensor) -> None:
        z = ops.channels_last(z_e).reshape(-1, self.code_dim)
        counts, sums = ops.counts_and_sums(z, tokens, self.codebook_size)
        if self.settings.alternate:
            self._alternated_step(counts, sums, z.numel())
        if self.settings.replace:
            self._replace_unused(counts, z)

    def _alternated_step(self, counts: Tensor, sums: Tensor, elements: int) -> None:
        gradient = 2 / elements * self._affine()[0] * (counts[:, None] * self._codes() - sums)
        self.velocity.mul_(0.9).add_(gradient)
        self.codebook.sub_(self.velocity, alpha=50.0)

    def _replace_unused(self, counts: Tensor, z: Tensor) -> None:
        self.lifetime.sub_(1).masked_fill_(counts > 0, self.settings.replace)
        dead = self.lifetime <= 0
        rank = (dead.cumsum(0) - 1).clamp(min=0)  # the first dead code takes the first draw
        donors = z[ops.permutation(len(z), z.device)[rank % len(z)]]
        scale = 0.01 * donors.norm(dim=-1, keepdim=True)
        fresh = donors + scale * ops.normal_like(donors)[rank]
        self.codebook.copy_(torch.where(dead[:, None], fresh, self.codebook))
        self.lifetime.masked_fill_(dead, self.settings.replace)

    def embed(self, tokens: Tensor) -> Tensor:
        return ops.lookup(self._codes(), tokens)

    def codes(self) -> Tensor:
        return self._codes().detach()
