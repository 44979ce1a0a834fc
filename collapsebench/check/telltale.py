"""Telltale: a quantizer for level 1 of ``check`` in which every hook of the contract shows.

Paper: none; no method for users. It starts on the first batch, is annealed, draws noise in training
only, weighs its error its own way, has a learning rate of its own, and moves trained codes after
the optimizer's step, which does not commute with it.

    z = (z_e - m) / s, mean and standard deviation per channel of the first batch
    token = argmin_k ||z - c_k||^2,  z_q = its code, in training + T / 4 of N(0, 1) noise
    loss = ||sg[z] - z_q||^2 + 1/4 ||z - sg[z_q]||^2, mean over elements;  error = 2 (x_hat - x)^2
    c_k <- c_k + (mean of its z - c_k) / 2 after each step, where it won
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from collapsebench import ops, schedules
from collapsebench.quantizer import Quantized, Quantizer


class Telltale(Quantizer):
    """A nearest-code quantizer with every hook; the equations are above."""

    label = "telltale"
    network = "vqvae"

    shift: Tensor  # (D,)
    scale: Tensor  # (D,)
    temperature: Tensor  # ()

    def __init__(self, codebook_size: int, code_dim: int, settings: Any):
        super().__init__(codebook_size, code_dim, settings)
        self.codebook = nn.Parameter(torch.randn(codebook_size, code_dim))
        self.register_buffer("shift", torch.zeros(code_dim))
        self.register_buffer("scale", torch.ones(code_dim))
        self.register_buffer("temperature", torch.tensor(1.0))

    def initialize(self, z_e: Tensor) -> None:
        """Codes start as vectors of the first batch, spread over it."""
        vectors = ops.channels_last(z_e).reshape(-1, self.code_dim)
        self.shift.copy_(vectors.mean(0))
        self.scale.copy_(vectors.std(0))
        every = len(vectors) // self.codebook_size
        self.codebook.copy_(
            self._normalized(z_e).reshape(-1, self.code_dim)[::every][: self.codebook_size]
        )

    def _normalized(self, z_e: Tensor) -> Tensor:
        return (ops.channels_last(z_e) - self.shift) / self.scale  # (B, H, W, D)

    def anneal(self, t: Tensor) -> dict[str, Tensor]:
        """The paper's temperature."""
        self.temperature.copy_(schedules.exponential(t))
        return {"temperature": self.temperature}

    def forward(self, z_e: Tensor) -> Quantized:
        """Noise in training only."""
        z = self._normalized(z_e)
        distances = ops.squared_distances(z, self.codebook)
        tokens = distances.argmin(-1)
        z_q = functional.embedding(tokens, self.codebook)

        commitment = functional.mse_loss(z, z_q.detach())
        loss = functional.mse_loss(z_q, z.detach()) + commitment / 4
        uncertainty = 1 - (-distances).softmax(-1).amax(-1).mean()
        terms = {"commitment": commitment.detach(), "uncertainty": uncertainty.detach()}
        z_q = ops.straight_through(z, z_q)
        if self.training:
            z_q = z_q + self.temperature / 4 * ops.normal_like(z_q)
        return Quantized(ops.channels_first(z_q), tokens, loss, terms)

    def update(self, z_e: Tensor, tokens: Tensor) -> None:
        """Moves the codes that won towards what they won."""
        counts, sums = ops.counts_and_sums(self._normalized(z_e), tokens, self.codebook_size)
        means = sums / counts.clamp(min=1)[:, None]
        self.codebook.lerp_(torch.where(counts[:, None] > 0, means, self.codebook), 1 / 2)

    def embed(self, tokens: Tensor) -> Tensor:
        """Rows of the codebook."""
        return ops.lookup(self.codebook, tokens)

    def reconstruction_loss(self, x_hat: Tensor, x: Tensor) -> Tensor:
        """Twice the error that is logged."""
        return 2 * super().reconstruction_loss(x_hat, x)

    def posterior(self, z_e: Tensor) -> Tensor:
        """Softmax of the negative distances."""
        distances = ops.squared_distances(self._normalized(z_e), self.codebook)
        return ops.channels_first((-distances).softmax(-1))

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """Codes learn at an eighth of the networks' rate."""
        return [{"params": [self.codebook], "lr": lr / 8}]
