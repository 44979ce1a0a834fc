"""DiVeQ: the decoder sees the code, reached from the vector by a step of differentiable length.

Paper: Vali, Backstrom, Solin. DiVeQ: differentiable vector quantization using the
    reparameterization trick. ICLR 2026. https://arxiv.org/abs/2509.26469
Reference code: AaltoML/DiVeQ, diveq.py, DIVEQ, 9b288d0.

    token = argmin_k ||z_e - c_k||^2,  q = its code
    z_q = z_e + ||q - z_e|| sg[r / ||r||],  r = q - z_e + N(0, s^2);  loss = 0
    evaluation: z_q = q
    after each window of batches: a code used in less than a share ``threshold`` of them becomes
        a copy of a code used in more, drawn in proportion to its use, plus N(0, 1e-18) noise

Differs from the paper:
    1. s is the code's ``noise_var`` = 1e-3: named a variance, used as a standard deviation. The
       popular port (lucidrains) takes its square root: 0.0316 here.
    2. Replacement is the code's: it counts the batches in which a code was used, not vectors. It
       comes before the optimizer's step there, after it here.
    3. The codebook starts in one corner, U(0, 1/K) or N(0, 1/K^2), as in the code.
    4. The space-filling variant, SF-DiVeQ, quantizes to segments between codes, so that no token
       stands for what its decoder sees: not here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from collapsebench import ops
from collapsebench.quantizer import Quantized, Quantizer
from collapsebench.settings import Count, NonNegative, Share


class DiVeQ(Quantizer):
    label = "DiVeQ"
    network = "vqvae"
    on_purpose = frozenset({"noise in training", "no commitment"})

    @dataclass(frozen=True)
    class Settings:
        noise_var: NonNegative = 1e-3  # reference code; the standard deviation s
        window: Count = 100  # batches between replacements, reference code; 0 = never
        threshold: Share = 0.01  # reference code
        codebook_init: Literal["uniform", "normal"] = "uniform"  # reference code

    used: Tensor  # (K,), batches of this window in which the code was used
    updates: Tensor  # ()

    def __init__(self, codebook_size: int, code_dim: int, settings: Settings):
        super().__init__(codebook_size, code_dim, settings)
        draw = torch.rand if settings.codebook_init == "uniform" else torch.randn
        self.codebook = nn.Parameter(draw(codebook_size, code_dim) / codebook_size)
        self.register_buffer("used", torch.zeros(codebook_size))
        self.register_buffer("updates", torch.tensor(0))

    def forward(self, z_e: Tensor) -> Quantized:
        z = ops.channels_last(z_e)
        tokens = ops.nearest(z, self.codebook)
        z_q = self.embed(tokens)
        terms = {"commitment": functional.mse_loss(z_e, z_q).detach()}

        if self.training:
            step = ops.channels_last(z_q) - z
            noise = ops.normal_like(z.flatten(0, 2), self.settings.noise_var).view(z.shape)
            direction = functional.normalize((step + noise).detach(), dim=-1)
            z_q = ops.channels_first(z + step.norm(dim=-1, keepdim=True) * direction)
        return Quantized(z_q, tokens, z_e.new_zeros(()), terms)

    @torch.no_grad()
    def update(self, z_e: Tensor, tokens: Tensor) -> None:
        self.used += torch.zeros_like(self.used).index_fill_(0, tokens.flatten(), 1.0)
        self.updates += 1
        if self.settings.window and self.updates % self.settings.window == 0:
            self._replace(self.used / self.settings.window < self.settings.threshold)
            self.used.zero_()

    def _replace(self, dead: Tensor) -> None:
        if dead.any() and not dead.all():
            weights = self.used.masked_fill(dead, 0)
            donors = self.codebook[ops.multinomial(weights, int(dead.sum()))]
            self.codebook[dead] = donors + ops.normal_like(donors) * 1e-9

    def embed(self, tokens: Tensor) -> Tensor:
        return ops.lookup(self.codebook, tokens)
