"""RQ-VAE: several codes per position, each the nearest to what the ones before it left over.

Paper: Lee, Kim, Kim, Cho, Han. Autoregressive image generation using residual quantization.
    CVPR 2022. https://arxiv.org/abs/2203.01941
Reference code: kakaobrain/rq-vae-transformer, rqvae/models/rqvae/quantizations.py, 341395e.

    r_0 = sg[z_e];  q = 1 ... Q:  c_q = the code of depth q nearest to r_(q-1),  r_q = r_(q-1) - c_q
    z_q = c_1 + ... + c_Q;  the decoder's gradient at z_q is passed to z_e unchanged
    loss = beta mean_q ||z_e - sg[c_1 + ... + c_q]||^2, mean over elements
    N_qk <- d N_qk + (1 - d) n_qk,  M_qk <- d M_qk + (1 - d) sum of its r_(q-1)
    where N_qk < threshold:  N_qk <- threshold,  M_qk <- threshold times a random r_(q-1)
    c_qk = M_qk / N_qk,  N smoothed: (N_k + eps) / (sum N + K eps) sum N

Differs from the paper:
    1. Its configurations share one codebook among the depths; the code's default, and ours, is
       one per depth: ``shared``. The code updates a shared one after each depth, within a forward;
       here once a step, from all depths' residuals, so that N counts the wins of a step.
    2. The commitment is the code's mean over the depths. A sum, which the paper is remembered to
       have (not verified), is beta = 0.25 Q.
    3. Codes are replaced as in the code, at N < 1: ``threshold``. N starts at 0, so that a code
       with less than 100 vectors of the first batch is replaced at once: a start on the data.
       Fewer vectors than codes are repeated and moved by U(0, 0.01 / sqrt(D)).
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from collapsebench import ops
from collapsebench.quantizer import Quantized, Quantizer
from collapsebench.settings import NonNegative, Positive, PositiveFloat, Share


class RQVAE(Quantizer):
    label = "RQ-VAE"
    network = "vqvae"
    recordable = True

    @dataclass(frozen=True)
    class Settings:
        depth: Positive = 4  # Q; in256-rqvae-8x8x4.yaml
        shared: bool = False  # reference code; its configurations: true
        beta: NonNegative = 0.25  # in256-rqvae-8x8x4.yaml
        decay: Share = 0.99  # in256-rqvae-8x8x4.yaml
        epsilon: PositiveFloat = 1e-5  # reference code
        threshold: NonNegative = 1.0  # reference code; 0 = codes are never replaced

    codebooks = Settings.depth

    codebook: Tensor  # (Q, K, D); (1, K, D) if shared
    ema_counts: Tensor  # (Q, K)
    ema_sums: Tensor  # (Q, K, D)

    def __init__(self, codebook_size: int, code_dim: int, settings: Settings):
        super().__init__(codebook_size, code_dim, settings)
        self.codebooks = settings.depth
        tables = 1 if settings.shared else settings.depth
        self.register_buffer("codebook", torch.randn(tables, codebook_size, code_dim))
        self.register_buffer("ema_counts", torch.zeros(tables, codebook_size))
        self.register_buffer("ema_sums", self.codebook.clone())

    def forward(self, z_e: Tensor) -> Quantized:
        z = ops.channels_last(z_e)
        residual, z_q = z.detach(), torch.zeros_like(z)
        tokens, commitments = [], []
        for codebook in self._per_depth():
            tokens.append(ops.nearest(residual, codebook))
            code = functional.embedding(tokens[-1], codebook)
            residual, z_q = residual - code, z_q + code
            commitments.append(functional.mse_loss(z, z_q))

        commitment = torch.stack(commitments).mean()
        loss, terms = self.settings.beta * commitment, {"commitment": commitment.detach()}
        output = ops.straight_through(z_e, ops.channels_first(z_q))
        return Quantized(output, torch.stack(tokens, -1).squeeze(-1), loss, terms)

    def _per_depth(self) -> Tensor:
        return self.codebook.expand(self.codebooks, -1, -1)  # (Q, K, D)

    @torch.no_grad()
    def update(self, z_e: Tensor, tokens: Tensor) -> None:
        won = tokens.reshape(*tokens.shape[:3], -1).movedim(-1, 0)  # (Q, B, H, W)
        residuals = [ops.channels_last(z_e)]
        for codebook, chosen in zip(self._per_depth(), won, strict=True):
            residuals.append(residuals[-1] - functional.embedding(chosen, codebook))
        vectors = torch.stack(residuals[:-1]).reshape(len(self.codebook), -1, self.code_dim)
        for table, owners in enumerate(won.reshape(len(self.codebook), -1)):
            self._average(table, vectors[table], owners)

    def _average(self, table: int, vectors: Tensor, tokens: Tensor) -> None:
        counts, sums = ops.counts_and_sums(vectors, tokens, self.codebook_size)
        n = self.ema_counts[table].lerp_(counts, 1 - self.settings.decay)
        m = self.ema_sums[table].lerp_(sums, 1 - self.settings.decay)
        if threshold := self.settings.threshold:
            rare = n < threshold
            m.copy_(torch.where(rare[:, None], threshold * self._drawn(vectors), m))
            n.masked_fill_(rare, threshold)
        epsilon = self.settings.epsilon
        smoothed = (n + epsilon) / (n.sum() + self.codebook_size * epsilon) * n.sum()
        self.codebook[table] = m / smoothed[:, None]

    def _drawn(self, vectors: Tensor) -> Tensor:
        if len(vectors) < self.codebook_size:
            vectors = vectors.repeat(math.ceil(self.codebook_size / len(vectors)), 1)
            vectors = vectors + 0.01 / math.sqrt(self.code_dim) * ops.uniform_like(vectors)
        return vectors[ops.permutation(len(vectors), vectors.device)[: self.codebook_size]]

    def embed(self, tokens: Tensor) -> Tensor:
        chosen = tokens.reshape(*tokens.shape[:3], -1).unbind(-1)
        return functools.reduce(torch.add, map(ops.lookup, self._per_depth(), chosen))

    def codes(self) -> Tensor:
        return self._per_depth().squeeze(0)  # (K, D) at depth 1
