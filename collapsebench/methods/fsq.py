"""FSQ: each dimension is bounded and rounded to a few levels; the codebook is the grid of them.

Paper: Mentzer, Minnen, Agustsson, Tschannen. Finite scalar quantization: VQ-VAE made simple. ICLR
    2024. https://arxiv.org/abs/2309.15505
Reference code: google-research/google-research, fsq/fsq.ipynb, FSQ, 5e78683.

    h = (L - 1) (1 - 1e-3) / 2,  o = 0 if L is odd else 1/2,  s = tan(o / h)
    b = h tanh(z_e + s) - o                                 per dimension, of L levels
    r = round(b), half to even, with the gradient of b;  z_q = r / floor(L / 2)
    token = sum_i (r_i + floor(L_i / 2)) prod_{j<i} L_j     the first dimension is the fastest
    loss = 0

The values of a dimension are -1 ... 1 for odd L and -1 ... 1 - 2/L for even L. No code is learned,
none can die; how evenly they are used is a matter of scale: far from unit variance the vectors
crowd in the middle or, with a vanishing gradient, at the edges. ``saturation`` is mean |b| / h.

Differs from the paper:
    1. The main text's f(z) = floor(L / 2) tanh(z) would give L + 1 values for even L; the shifted
       form of the appendix is the code's.
    2. Paper and code shift by tan(o / h); atanh, which would make f(0) = 0, was meant (the author,
       lucidrains/vector-quantize-pytorch issue 94). They differ by 1e-3 or less from L = 4 on; at
       L = 2 the shift is 1.56.
    3. The popular port (lucidrains) uses atanh and 1 + 1e-3: some other tokens near the edges.
    4. Table 1 has levels for sizes near powers of two: 240, 1000, 4375, 15360, 64000. The exact
       powers from 64 on are ours; ``levels`` writes any others out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from collapsebench import ops
from collapsebench.quantizer import Quantized, Quantizer

PAPER = ((8, 6, 5), (8, 5, 5, 5), (7, 5, 5, 5, 5), (8, 8, 8, 6, 5), (8, 8, 8, 5, 5, 5))  # table 1
OURS = (
    (8, 8), (8, 4, 4), (8, 8, 4), (8, 8, 8), (8, 8, 4, 4), (8, 8, 8, 4), (8, 8, 8, 8),
    (8, 8, 8, 8, 4), (8, 8, 8, 8, 4, 4),
)  # fmt: skip
EPSILON = 1e-3  # reference code


def possible(levels: str) -> dict[int, tuple[int, ...]]:
    """Codebook size -> levels of its dimensions: the ones written out, or if "" all that are known.

    Raises:
        ValueError: not whole numbers from 2 on.
    """
    if not levels:
        return {math.prod(known): known for known in PAPER + OURS}
    parts = [part.strip() for part in levels.split(",")]
    if not all(part.isdecimal() and int(part) > 1 for part in parts):
        raise ValueError(f"levels {levels!r}: must be whole numbers from 2 on, like 8,5,5,5")
    written = tuple(int(part) for part in parts)
    return {math.prod(written): written}


class FSQ(Quantizer):
    label = "FSQ"
    network = "vqvae"
    recordable = True
    on_purpose = frozenset({"codes are fixed", "no commitment"})

    @dataclass(frozen=True)
    class Settings:
        levels: str = ""  # "" = those known for K, table 1; else like 8,5,5,5, whose product is K

        def __post_init__(self) -> None:
            possible(self.levels)

    bases: Tensor  # (D,) int64, the levels
    reach: Tensor  # (D,), h
    offset: Tensor  # (D,), o
    shift: Tensor  # (D,), s

    def __init__(self, codebook_size: int, code_dim: int, settings: Settings):
        super().__init__(codebook_size, code_dim, settings)
        levels = possible(settings.levels)[codebook_size]
        reach = [(level - 1) * (1 - EPSILON) / 2 for level in levels]
        offset = [0.0 if level % 2 else 0.5 for level in levels]
        shift = [math.tan(o / h) for o, h in zip(offset, reach, strict=True)]
        self.register_buffer("bases", torch.tensor(levels))
        self.register_buffer("reach", torch.tensor(reach))
        self.register_buffer("offset", torch.tensor(offset))
        self.register_buffer("shift", torch.tensor(shift))

    @classmethod
    def sizes(cls, settings: Settings) -> dict[int, int]:
        return {size: len(levels) for size, levels in possible(settings.levels).items()}

    @classmethod
    def tiny(cls) -> tuple[int, int]:
        return 64, 2

    def forward(self, z_e: Tensor) -> Quantized:
        z = ops.channels_last(z_e)
        bounded = self.reach * (z + self.shift).tanh() - self.offset
        rounded = bounded.round()
        tokens = ops.tokens_of(rounded.long() + self.bases // 2, self.bases)

        z_q = ops.channels_first(ops.straight_through(bounded, rounded) / (self.bases // 2))
        saturation = (bounded.detach().abs() / self.reach).mean()
        return Quantized(z_q, tokens, z_e.new_zeros(()), {"saturation": saturation})

    def embed(self, tokens: Tensor) -> Tensor:
        middle = self.bases // 2
        return ops.channels_first((ops.digits_of(tokens, self.bases) - middle) / middle)
