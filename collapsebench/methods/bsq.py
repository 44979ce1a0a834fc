"""BSQ: a vector on the unit sphere becomes the nearest corner of the cube inscribed in it.

Paper: Zhao, Xiong, Krähenbühl. Image and video tokenization with binary spherical quantization.
    ICLR 2025. https://arxiv.org/abs/2406.07548
Reference code: zhaoyue-zephyrus/bsq-vit, transcoder/models/quantizer/bsq.py,
    BinarySphericalQuantizer, and transcoder/models/bsqvit.py, 37d212d.

    u = z_e / ||z_e||;  z_q = sign(u) / sqrt(D), zero becoming -1;  dz_q/du = 1 / sqrt(D)
    token = sum_d [z_q,d > 0] 2^(D-1-d)                     dimension 0 is the highest bit
    p_g = softmax(2 u_g . c_g / T),  c_g the 2^g corners of one group of g dimensions
    H_row = mean sum_g H(p_g),  H_mean = sum_g H(mean p_g)
    loss = w T (H_row - gamma H_mean),  w from boost * entropy to entropy in boost_steps, linearly

``boost_steps`` is in the paper's steps, of which every training here has 150 000: 2 000 are the
first 1/75 of the training, however long it is.

Differs from the paper:
    1. ``group`` = 0 is one group, the exact H(mean p); the configurations use groups of 9 of 18.
    2. The configurations for 256 pixels compute H_row by bits, and the code then takes H_mean from
       the same bits, whatever the group is: it no longer sees that bits go together. That is
       ``analytical``, the same as ``group`` = 1; only the 128-pixel configuration uses groups.
    3. H_row is a sum over bits in any group, and mean p_g a product of two halves of its bits: the
       code's values without its (positions, 2^g) tensor. The 1e-8 inside the code's logarithms
       changes both entropies alike and is left out.
    4. T here is 1 over the code's inverse temperature. At 1 a bit's probability is at most 0.61 at
       D = 9 where all |u_d| are equal: H_row hardly asks for decisions.
    5. Weight 0.1 stands beside L1 + perceptual + GAN, far above the reconstruction error here:
       expect even use at a price in error, and sweep ``entropy``.
    6. The commitment of the class weighs 0 in every configuration and is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from collapsebench import ops
from collapsebench.quantizer import POWERS_OF_TWO, Incompatible, Quantized, Quantizer
from collapsebench.settings import Count, NonNegative, Positive, PositiveFloat

SMALLEST = 1e-30  # inside the logarithm of a mean that may underflow to zero


class BSQ(Quantizer):
    label = "BSQ"
    network = "vqvae"
    recordable = True
    on_purpose = frozenset({"codes are fixed", "no commitment"})

    @dataclass(frozen=True)
    class Settings:
        entropy: NonNegative = 0.1  # reference code, configurations
        boost: NonNegative = 3.0  # reference code, codebook_rampup_multiplier; 1 = none
        boost_steps: Positive = 2_000  # reference code, codebook_rampup_steps
        group: Count = 0  # dimensions per group; 0 = all D; the configurations: 9 of 18
        analytical: bool = False  # reference code, persample_entropy_compute
        gamma: NonNegative = 1.0  # reference code
        temperature: PositiveFloat = 1.0  # reference code, 1 / inv_temperature

    bases: Tensor  # (D,) int64, all 2
    weight: Tensor  # ()

    def __init__(self, codebook_size: int, code_dim: int, settings: Settings):
        super().__init__(codebook_size, code_dim, settings)
        group = settings.group or code_dim
        if code_dim % group:
            raise Incompatible(f"BSQ: {code_dim} dimensions do not split into groups of {group}")
        self.group = 1 if settings.analytical else group
        self.register_buffer("bases", torch.full((code_dim,), 2))
        self.register_buffer("weight", torch.tensor(settings.boost * settings.entropy))

    @classmethod
    def sizes(cls, settings: Settings) -> dict[int, int]:
        return POWERS_OF_TWO

    def anneal(self, t: Tensor) -> dict[str, Tensor]:
        left = (1 - t / self.settings.boost_steps).clamp(min=0)
        self.weight.copy_(self.settings.entropy * (1 + (self.settings.boost - 1) * left))
        return {"weight": self.weight}

    def forward(self, z_e: Tensor) -> Quantized:
        u = functional.normalize(z_e, dim=1)
        tokens = ops.tokens_of(ops.channels_last(u).flip(-1) > 0, self.bases)
        z_q = ops.straight_through(u / self.code_dim**0.5, self.embed(tokens))

        log_odds = self._log_odds(u).flatten(0, -2).unflatten(-1, (-1, self.group))
        rows, mean = ops.bit_entropies(log_odds.transpose(0, 1), SMALLEST)
        loss = self.weight * self.settings.temperature * (rows - self.settings.gamma * mean)
        terms = {"row_entropy": rows.detach(), "mean_entropy": mean.detach()}
        return Quantized(z_q, tokens, loss, terms)

    def _log_odds(self, u: Tensor) -> Tensor:
        scale = 4 / (self.settings.temperature * self.code_dim**0.5)
        return scale * ops.channels_last(u)  # (B, H, W, D), of each bit being one

    def embed(self, tokens: Tensor) -> Tensor:
        signs = 2.0 * ops.digits_of(tokens, self.bases).flip(-1) - 1
        return ops.channels_first(signs / self.code_dim**0.5)

    def posterior(self, z_e: Tensor) -> Tensor | None:
        if self.codebook_size > ops.DENSE:
            return None
        log_odds = self._log_odds(functional.normalize(z_e, dim=1))
        return ops.channels_first(ops.code_probabilities(log_odds.flip(-1)))
