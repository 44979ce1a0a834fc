"""NSVQ: in training the decoder sees each vector plus noise as long as its quantization error.

Paper: Vali, Backstrom. NSVQ: noise substitution in vector quantization for machine learning. IEEE
    Access 10 (2022). https://doi.org/10.1109/ACCESS.2022.3147670
Reference code: MHVali/Noise-Substitution-in-Vector-Quantization, NSVQ.py, NSVQ, c938291.

    token = argmin_k ||z_e - c_k||^2,  q = its code
    z_q = z_e + ||z_e - q|| e / ||e||,  e ~ N(0, I);  z_e and q both get its gradient;  loss = 0
    evaluation: z_q = q
    after each window of batches: a code used in less than a share ``threshold`` of them becomes
        a copy of a code used in more, plus N(0, 1e-24) noise

Differs from the paper:
    1. Replacement is the code's: it counts the batches in which a code was used, not vectors.
       The codes in use are copied once each, in order; if they are too few, they are repeated as
       often as needed and shuffled. In float32 a copy equals its original until the gradient of
       one of the two parts them.
    2. The code leaves the window to its caller. Its example replaces every 1 000 batches but for
       the last two windows, its documentation suggests 100 to 1 000: ``window``, to the end.
    3. The code's gradient is NaN where a vector equals its code; here that error's length has
       gradient 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from collapsebench import ops
from collapsebench.quantizer import Quantized, Quantizer
from collapsebench.settings import Count, Share


class NSVQ(Quantizer):
    label = "NSVQ"
    network = "vqvae"
    on_purpose = frozenset({"noise in training", "no commitment"})

    @dataclass(frozen=True)
    class Settings:
        window: Count = 1000  # batches between replacements, reference code, train.py; 0 = never
        threshold: Share = 0.01  # reference code
        codebook_init: Literal["normal", "uniform"] = "normal"  # reference code

    used: Tensor  # (K,), batches of this window in which the code was used
    updates: Tensor  # ()

    def __init__(self, codebook_size: int, code_dim: int, settings: Settings):
        super().__init__(codebook_size, code_dim, settings)
        codebook = ops.random_codebook(settings.codebook_init, codebook_size, code_dim)
        self.codebook = nn.Parameter(codebook)
        self.register_buffer("used", torch.zeros(codebook_size))
        self.register_buffer("updates", torch.tensor(0))

    def forward(self, z_e: Tensor) -> Quantized:
        z = ops.channels_last(z_e)
        tokens = ops.nearest(z, self.codebook)
        z_q = self.embed(tokens)
        terms = {"commitment": functional.mse_loss(z_e, z_q).detach()}

        if self.training:
            error = (z - ops.channels_last(z_q)).norm(dim=-1, keepdim=True)
            noise = ops.normal_like(z.flatten(0, 2)).view(z.shape)
            z_q = ops.channels_first(z + error / noise.norm(dim=-1, keepdim=True) * noise)
        return Quantized(z_q, tokens, z_e.new_zeros(()), terms)

    @torch.no_grad()
    def update(self, z_e: Tensor, tokens: Tensor) -> None:
        self.used += torch.zeros_like(self.used).index_fill_(0, tokens.flatten(), 1.0)
        self.updates += 1
        if self.settings.window and self.updates % self.settings.window == 0:
            self._replace(self.used / self.settings.window < self.settings.threshold)
            self.used.zero_()

    def _replace(self, dead: Tensor) -> None:
        donors = self.codebook[~dead if not dead.all() else dead]
        count = int(dead.sum())
        if len(donors) < count:
            tiled = donors.repeat(-(-count // len(donors)), 1)
            donors = tiled[ops.permutation(len(tiled), tiled.device)]
        donors = donors[:count]
        self.codebook[dead] = donors + ops.normal_like(donors) * 1e-12

    def embed(self, tokens: Tensor) -> Tensor:
        return ops.lookup(self.codebook, tokens)
