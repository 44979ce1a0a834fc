"""LFQ: each dimension becomes its sign; an entropy term asks that all 2^D sign patterns be used.

Paper: Yu et al. Language model beats diffusion: tokenizer is key to visual generation
    (MAGVIT-v2). ICLR 2024. https://arxiv.org/abs/2310.05737 (without code); Luo et al.
    Open-MAGVIT2. 2024. https://arxiv.org/abs/2409.04410
Reference code: TencentARC/SEED-Voken, src/Open_MAGVIT2/modules/vqvae/lookup_free_quantize.py,
    LFQ, b9a17ea.

    z_q,d = 1 if z_e,d > 0 else -1,  straight-through;  token = sum_d [z_q,d > 0] 2^d
    p = softmax(2 z_e . c / T) over all 2^D sign patterns c:  bit d is sigmoid(4 z_e,d / T)
    entropy = row_weight mean H(p) - batch_weight H(mean p)
    loss = entropy weight * entropy + commitment weight * ||z_e - sg[z_q]||^2, mean over elements
    evaluation: no loss

Zero becomes -1; z_e is neither normalised nor bounded; dimension 0 is the lowest bit.

Differs from the paper:
    1. MAGVIT-v2 has no official code; the weights are Open-MAGVIT2's configurations'. They stand
       beside L1 + LPIPS + GAN, some 100 times the reconstruction error here: sweep ``entropy``.
    2. H(p) is the sum of the bits' entropies and mean p a product of two halves of the bits: the
       code's values, without its (positions, 2^D) tensor.
    3. At T = 0.01 a bit is decided once |z_e,d| > 0.01, and neither entropy has a gradient there:
       a dimension that starts on one side of zero stays on it. A larger T reaches further.
    4. The class can raise the entropy weight in the first 2 000 steps; the configurations do not,
       nor does this file.
    5. The popular port (lucidrains) has no commitment by default and its first dimension is the
       highest bit. An author of MAGVIT-v2 calls a normalisation layer before LFQ important; our
       encoders end in a plain convolution.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from collapsebench import ops
from collapsebench.quantizer import POWERS_OF_TWO, Quantized, Quantizer
from collapsebench.settings import NonNegative, PositiveFloat


class LFQ(Quantizer):
    label = "LFQ"
    network = "vqvae"
    recordable = True
    on_purpose = frozenset({"codes are fixed"})

    @dataclass(frozen=True)
    class Settings:
        entropy: NonNegative = 0.1  # reference code, imagenet_lfqgan_128_L.yaml
        commitment: NonNegative = 0.25  # reference code, imagenet_lfqgan_128_L.yaml
        temperature: PositiveFloat = 0.01  # reference code
        row_weight: NonNegative = 1.0  # reference code, sample_minimization_weight
        batch_weight: NonNegative = 1.0  # reference code, batch_maximization_weight

    bases: Tensor  # (D,) int64, all 2

    def __init__(self, codebook_size: int, code_dim: int, settings: Settings):
        super().__init__(codebook_size, code_dim, settings)
        self.register_buffer("bases", torch.full((code_dim,), 2))

    @classmethod
    def sizes(cls, settings: Settings) -> dict[int, int]:
        return POWERS_OF_TWO

    def forward(self, z_e: Tensor) -> Quantized:
        tokens = ops.tokens_of(ops.channels_last(z_e) > 0, self.bases)
        z_q = self.embed(tokens).to(z_e.dtype)
        if not self.training:
            return Quantized(z_q, tokens, z_e.new_zeros(()))

        rows, mean = ops.bit_entropies(self._log_odds(z_e).flatten(0, -2), 1e-5)
        commitment = functional.mse_loss(z_e, z_q)
        settings = self.settings
        entropy = settings.row_weight * rows - settings.batch_weight * mean
        loss = settings.entropy * entropy + settings.commitment * commitment
        terms = {"row_entropy": rows, "mean_entropy": mean, "commitment": commitment}
        detached = {name: term.detach() for name, term in terms.items()}
        return Quantized(ops.straight_through(z_e, z_q), tokens, loss, detached)

    def _log_odds(self, z_e: Tensor) -> Tensor:
        return 4 / self.settings.temperature * ops.channels_last(z_e)  # (B, H, W, D), of the bits

    def embed(self, tokens: Tensor) -> Tensor:
        return ops.channels_first(2.0 * ops.digits_of(tokens, self.bases) - 1)

    def posterior(self, z_e: Tensor) -> Tensor | None:
        if self.codebook_size > ops.DENSE:
            return None
        return ops.channels_first(ops.code_probabilities(self._log_odds(z_e)))
