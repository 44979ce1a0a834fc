"""dVAE: the encoder gives logits over the codes; training mixes codes by Gumbel-softmax.

Paper: Ramesh et al. Zero-shot text-to-image generation. ICML 2021. https://arxiv.org/abs/2102.12092
    as run by Baykal, Kandemir, Unal. EdVAE. Pattern Recognition 156 (2024) 110792, section 3.1.
Reference code: ituvisionlab/EdVAE, GumbelQuantizer, dfcb50e.

    y = softmax((l + g) / tau),  g Gumbel noise,  z_q = sum_k y_k c_k       EdVAE eq. 2, 3
    q = softmax(l)                                                          EdVAE eq. 4
    loss = beta sum_k q_k ln(K q_k + 1e-10), mean over positions            EdVAE eq. 1
    evaluation: token = argmax_k l_k, z_q = its code

Differs from the paper:
    1. Equation 4 samples tokens at test time; the code takes the arg-max: ``encode.assignment``.
    2. The EdVAE code ships the quantizer without a configuration: EdVAE's, with beta = 5e-5.
    3. The temperature ends at 0.22, not at 0 (section 4.1; appendix C agrees with the code). Its
       constant values of appendix D.1, which the code's callback would overwrite, are
       ``temperature = 2`` and ``5``.
    4. The 1e-10 inside the logarithm is the code's; the KL is summed over codes, averaged over
       positions, while the MSE is a mean over elements.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from collapsebench import ops, schedules
from collapsebench.quantizer import Quantized, Quantizer
from collapsebench.settings import NonNegative


class DVAE(Quantizer):
    label = "dVAE"
    network = "dalle"
    recordable = True
    on_purpose = frozenset({"noise in training", "no commitment"})

    @dataclass(frozen=True)
    class Settings:
        beta: NonNegative = 5e-5  # EdVAE appendix C: upper bound, all datasets
        temperature: NonNegative = 0.0  # 0 = exp(-1e-5 t), EdVAE appendix C; else constant (D.1)
        codebook_init: Literal["normal", "uniform"] = "normal"  # EdVAE appendix C

    temperature: Tensor  # ()
    beta: Tensor  # ()

    def __init__(self, codebook_size: int, code_dim: int, settings: Settings):
        super().__init__(codebook_size, code_dim, settings)
        codebook = ops.random_codebook(settings.codebook_init, codebook_size, code_dim)
        self.codebook = nn.Parameter(codebook)
        self.register_buffer("temperature", torch.tensor(settings.temperature or 1.0))
        self.register_buffer("beta", torch.tensor(0.0))

    @property
    def encoder_channels(self) -> int:
        return self.codebook_size

    def anneal(self, t: Tensor) -> dict[str, Tensor]:
        if self.settings.temperature == 0:
            self.temperature.copy_(schedules.exponential(t))
        self.beta.copy_(schedules.quarter_cosine(t, 0.0, self.settings.beta, 5_000))
        return {"temperature": self.temperature, "beta": self.beta}

    def forward(self, z_e: Tensor) -> Quantized:
        logits = ops.channels_last(z_e)  # (B, H, W, K)
        kl = ops.categorical_kl(logits).mean()

        if self.training:
            y = ops.relaxed_one_hot(logits, ops.gumbel_like(logits), self.temperature)
            tokens = y.argmax(-1)
            z_q = ops.channels_first(y @ self.codebook)
        else:
            tokens = logits.argmax(-1)
            z_q = self.embed(tokens)

        return Quantized(z_q, tokens, self.beta * kl, {"kl": kl.detach()})

    def embed(self, tokens: Tensor) -> Tensor:
        return ops.lookup(self.codebook, tokens)

    def posterior(self, z_e: Tensor) -> Tensor:
        return z_e.softmax(1)
