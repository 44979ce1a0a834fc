"""Continuous: no quantizer at all, the floor of the reconstruction error.

Paper: none. The decoder sees the encoder's output as it is: what the networks could do if
    quantizing cost nothing.

    z_q = z_e,  loss = 0,  tokens = 0

It has no codes: ``codebooks = 0``, the tokens are zeros and stand for nothing, so codebook metrics
and a prior over them are meaningless for this row. ``codebook_size`` is accepted and ignored.

Differs from the paper: there is none.
"""

from __future__ import annotations

import torch
from torch import Tensor

from collapsebench.quantizer import Incompatible, Quantized, Quantizer


class Continuous(Quantizer):
    label = "continuous"
    network = "vqvae"
    recordable = True
    codebooks = 0
    on_purpose = frozenset({"no commitment"})

    def forward(self, z_e: Tensor) -> Quantized:
        tokens = torch.zeros_like(z_e[:, 0], dtype=torch.int64)
        return Quantized(z_e, tokens, z_e.new_zeros(()))

    def embed(self, tokens: Tensor) -> Tensor:
        raise Incompatible("continuous has no codebook: tokens do not say what the decoder sees")
