"""k-means: an autoencoder without a quantizer, and the codes that clustering its vectors gives.

Paper: none. What training with codes buys, against codes fitted beside the training: the decoder
    never sees one before evaluation.

    training:    z_q = z_e,  loss = 0,  token = argmin_k ||z_e - c_k||^2
    evaluation:  z_q = the token's code
    start: ops.kmeans on the first batch, N = M = 0
    N_k <- d N_k + n_k,  M_k <- d M_k + sum of its z_e,  c_k = M_k / N_k where N_k > 0
    where N_k < 0.001 mean N:  N_k <- 1,  c_k, M_k <- a random z_e of the batch

With d = 0.99 the codes at the end are those of k-means on the last few hundred batches. k-means
makes the squared error small, not the entropy large, so its perplexity is what the encoder's
distribution allows, and below K.

Differs from the paper: there is none.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from collapsebench import ops
from collapsebench.quantizer import Quantized, Quantizer
from collapsebench.settings import Share

RARE = 1e-3  # of the mean count: below it a code is moved


class KMeans(Quantizer):
    label = "k-means"
    network = "vqvae"
    recordable = True

    @dataclass(frozen=True)
    class Settings:
        decay: Share = 0.99  # ours; 1 = nothing is forgotten

    codebook: Tensor  # (K, D)
    counts: Tensor  # (K,)
    sums: Tensor  # (K, D)

    def __init__(self, codebook_size: int, code_dim: int, settings: Settings):
        super().__init__(codebook_size, code_dim, settings)
        self.register_buffer("codebook", torch.randn(codebook_size, code_dim))
        self.register_buffer("counts", torch.zeros(codebook_size))
        self.register_buffer("sums", torch.zeros(codebook_size, code_dim))

    @torch.no_grad()
    def initialize(self, z_e: Tensor) -> None:
        points = ops.channels_last(z_e).reshape(-1, self.code_dim)
        self.codebook.copy_(ops.kmeans(points, self.codebook_size))

    def forward(self, z_e: Tensor) -> Quantized:
        tokens = ops.nearest(ops.channels_last(z_e), self.codebook)
        z_q = z_e if self.training else self.embed(tokens)
        return Quantized(z_q, tokens, z_e.new_zeros(()))

    @torch.no_grad()
    def update(self, z_e: Tensor, tokens: Tensor) -> None:
        z = ops.channels_last(z_e).reshape(-1, self.code_dim)
        counts, sums = ops.counts_and_sums(z, tokens, self.codebook_size)
        self.counts.mul_(self.settings.decay).add_(counts)
        self.sums.mul_(self.settings.decay).add_(sums)

        rare = self.counts < RARE * self.counts.mean()
        rank = (rare.cumsum(0) - 1).clamp(min=0)  # the first rare code takes the first vector
        drawn = z[ops.permutation(len(z), z.device)[rank % len(z)]]
        self.counts.masked_fill_(rare, 1.0)
        self.sums.copy_(torch.where(rare[:, None], drawn, self.sums))
        self.codebook.copy_(self.sums / self.counts[:, None])

    def embed(self, tokens: Tensor) -> Tensor:
        return ops.lookup(self.codebook, tokens)
