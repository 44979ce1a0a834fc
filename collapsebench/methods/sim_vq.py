"""SimVQ: the codes are one learned linear image of a frozen random codebook, so they move together.

Paper: Zhu, Li, Xin, Xia, Xu. Addressing representation collapse in vector quantized models with
    one linear layer. ICCV 2025. https://arxiv.org/abs/2411.02038
Reference code: youngsheen/SimVQ, taming/modules/vqvae/quantize.py, SimVQ, d8bd94d.

    f_k ~ N(0, I / D), frozen;  c_k = W f_k + b,  W, b learned
    token = argmin_k ||z_e - c_k||^2,  z_q = its code
    loss = ||sg[z_e] - z_q||^2 + beta ||z_e - sg[z_q]||^2, mean over elements
    the decoder's gradient at z_q is passed to z_e unchanged

Differs from the paper:
    1. The paper's codes are W f_k; the code's layer has a bias, by which all codes can move to
       the data at once: ``bias``. W and b start as torch's Linear does.
    2. The code's class weighs the codebook side by beta and the commitment by 1 unless its
       ``legacy`` is off, as the shipped configuration sets it.
    3. The code's look-up of tokens, get_codebook_entry, returns the frozen row f_k, which no
       decoder was trained on; here ``embed`` returns c_k.
    4. The popular port (lucidrains) has no bias and passes gradients by the rotation trick.
    5. The paper's claim is for D = 128. W has D^2 numbers: 256 at D = 16.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from collapsebench import ops
from collapsebench.quantizer import Quantized, Quantizer
from collapsebench.settings import NonNegative


class SimVQ(Quantizer):
    label = "SimVQ"
    network = "vqvae"
    recordable = True

    @dataclass(frozen=True)
    class Settings:
        bias: bool = True  # reference code
        beta: NonNegative = 0.25  # reference code, imagenet_simvq_128_B.yaml
        legacy: bool = False  # reference code, imagenet_simvq_128_B.yaml

    frozen: Tensor  # (K, D)

    def __init__(self, codebook_size: int, code_dim: int, settings: Settings):
        super().__init__(codebook_size, code_dim, settings)
        self.register_buffer("frozen", torch.randn(codebook_size, code_dim) / code_dim**0.5)
        self.projection = nn.Linear(code_dim, code_dim, bias=settings.bias)

    def forward(self, z_e: Tensor) -> Quantized:
        codes = self.projection(self.frozen)  # (K, D)
        tokens = ops.nearest(ops.channels_last(z_e), codes)
        z_q = ops.lookup(codes, tokens)

        commitment = functional.mse_loss(z_e, z_q.detach())
        codebook = functional.mse_loss(z_q, z_e.detach())
        if self.settings.legacy:
            loss = commitment + self.settings.beta * codebook
        else:
            loss = codebook + self.settings.beta * commitment
        terms = {"commitment": commitment.detach()}
        return Quantized(ops.straight_through(z_e, z_q), tokens, loss, terms)

    def embed(self, tokens: Tensor) -> Tensor:
        return ops.lookup(self.projection(self.frozen), tokens)

    def codes(self) -> Tensor:
        return self.projection(self.frozen).detach()
