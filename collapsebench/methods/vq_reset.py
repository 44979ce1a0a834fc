"""VQ-reset: moving-average codes that start on vectors of the batch and go back there when rare.

Paper: Dhariwal, Jun, Payne, Kim, Radford, Sutskever. Jukebox: a generative model for music. 2020.
    https://arxiv.org/abs/2005.00341
    (start by k-means: Zeghidour et al. SoundStream: an end-to-end neural audio codec. TASLP 2022.
    https://arxiv.org/abs/2107.03312)
Reference code: openai/jukebox, jukebox/vqvae/bottleneck.py, BottleneckBlock, 08efbbc.

    start: c = K vectors of the first batch,  s = c,  n = 1
    token = argmin_k ||z_e - c_k||^2,  z_q = its code
    loss = beta ||z_e - sg[z_q]||^2, mean over elements
    n_k <- d n_k + (1 - d) its count,  s_k <- d s_k + (1 - d) sum of its z_e
    c_k = s_k / n_k  if n_k >= threshold,  else a random vector of this batch

Differs from the paper:
    1. The code leaves n and s of a replaced code as they are: below the threshold the code moves
       to another vector at every step while s goes on averaging over all the places that it
       visited, and at the threshold it jumps to their mean. RQ-VAE (kakaobrain) and the popular
       port (lucidrains) reset both: ``reset_state``.
    2. ``threshold`` is a mean count per batch: a batch of fewer than threshold x K vectors leaves
       codes below it however evenly they are used. It should have twice as many.
    3. The published models weigh the loss by 0.02, beside an audio loss, and the code's own
       default is 1; ``beta`` is VQ-VAE's 0.25.
    4. K-means starts from k-means++ seeds. EnCodec (facebookresearch/encodec 0e2d0ae) starts it
       from random vectors, and then n from the counts beside s = c, so that its first codes
       shrink; here s = c and n = 1 after either start.
    5. EnCodec's replacement, often cited for this method, is overwritten in the same step by its
       moving average and has no effect.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from collapsebench import ops
from collapsebench.quantizer import Quantized, Quantizer
from collapsebench.settings import NonNegative, Share


class VQReset(Quantizer):
    label = "VQ-reset"
    network = "vqvae"
    recordable = True
    on_purpose = frozenset({"revived codes move on"})

    @dataclass(frozen=True)
    class Settings:
        start: Literal["batch", "kmeans"] = "batch"  # reference code; kmeans: SoundStream
        decay: Share = 0.99  # reference code, hparams.py
        threshold: NonNegative = 1.0  # reference code; in vectors per batch; 0 puts nothing back
        reset_state: bool = False  # reference code
        beta: NonNegative = 0.25  # VQ-VAE, section 3.2; 0.02 = Jukebox's beside its audio loss

    codebook: Tensor  # (K, D)
    ema_counts: Tensor  # (K,)
    ema_sums: Tensor  # (K, D)

    def __init__(self, codebook_size: int, code_dim: int, settings: Settings):
        super().__init__(codebook_size, code_dim, settings)
        codebook = ops.random_codebook("normal", codebook_size, code_dim)  # until initialize
        self.register_buffer("codebook", codebook)
        self.register_buffer("ema_counts", torch.ones(codebook_size))
        self.register_buffer("ema_sums", codebook.clone())

    @torch.no_grad()
    def initialize(self, z_e: Tensor) -> None:
        z = ops.channels_last(z_e).reshape(-1, self.code_dim)
        if self.settings.start == "kmeans":
            codebook = ops.kmeans(z, self.codebook_size, iterations=50)  # EnCodec
        else:
            codebook = ops.batch_vectors(z, self.codebook_size)
        self.codebook.copy_(codebook)
        self.ema_counts.fill_(1)
        self.ema_sums.copy_(codebook)

    def forward(self, z_e: Tensor) -> Quantized:
        tokens = ops.nearest(ops.channels_last(z_e), self.codebook)
        z_q = self.embed(tokens)

        commitment = functional.mse_loss(z_e, z_q)
        loss = self.settings.beta * commitment
        rare = (self.ema_counts < self.settings.threshold).float().mean()
        terms = {"commitment": commitment.detach(), "rare_codes": rare}
        return Quantized(ops.straight_through(z_e, z_q), tokens, loss, terms)

    @torch.no_grad()
    def update(self, z_e: Tensor, tokens: Tensor) -> None:
        z = ops.channels_last(z_e).reshape(-1, self.code_dim)
        counts, sums = ops.counts_and_sums(z, tokens, self.codebook_size)
        self.ema_counts.lerp_(counts, 1 - self.settings.decay)
        self.ema_sums.lerp_(sums, 1 - self.settings.decay)

        threshold = self.settings.threshold
        rare, fresh = self.ema_counts < threshold, ops.batch_vectors(z, self.codebook_size)
        if self.settings.reset_state:
            self.ema_counts.masked_fill_(rare, threshold)
            self.ema_sums.copy_(torch.where(rare[:, None], threshold * fresh, self.ema_sums))
        # Counts of codes unused for thousands of steps underflow.
        mean = self.ema_sums / self.ema_counts.clamp(min=torch.finfo(z.dtype).tiny)[:, None]
        self.codebook.copy_(torch.where(rare[:, None], fresh, mean))

    def embed(self, tokens: Tensor) -> Tensor:
        return ops.lookup(self.codebook, tokens)
