"""GS-VQ-VAE: VQ-VAE whose token is drawn by Gumbel-softmax of the negative squared distances.

Paper: Sønderby, Poole, Mnih. Continuous relaxation training of discrete latent variable image
    models. NIPS Bayesian deep learning workshop 2017; as run by the EdVAE paper (Baykal,
    Kandemir, Unal. Pattern Recognition 156 (2024) 110792), appendix C.
Reference code: ituvisionlab/FactorQVAE, RelaxedVQQuantizer, 7d74cea (EdVAE's code has none).

    l_k = -||z_e - c_k||^2
    y = softmax((l + g) / tau),  g Gumbel noise,  z_q = sum_k y_k c_k       EdVAE eq. 2, 3
    q = softmax(l)
    loss = beta sum_k q_k ln(K q_k + 1e-10), mean over positions            EdVAE eq. 1
    evaluation: token = argmin_k ||z_e - c_k||^2, z_q = its code

Differs from the paper:
    1. Codebook: one paragraph of EdVAE's appendix C says uniform, an earlier one Gaussian for
       "these models", the reference code's configurations are normal: ``codebook_init``.
    2. Uniform "as in [5]" is U(-1/K, 1/K), the meaning of the word in the authors' code.
    3. Whether the reconstruction error was divided by the pixel variance, as DeepMind's VQ-VAE
       example does, is not stated: ``pixel_variance``.
    4. The temperature ends at 0.22, not at 0 (section 4.1; appendix C agrees with the code).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from collapsebench import ops, schedules
from collapsebench.quantizer import Quantized, Quantizer
from collapsebench.settings import NonNegative, PositiveFloat


class GSVQVAE(Quantizer):
    label = "GS-VQ-VAE"
    network = "vqvae"
    recordable = True
    on_purpose = frozenset({"noise in training", "no commitment"})

    @dataclass(frozen=True)
    class Settings:
        beta: NonNegative = 5e-6  # EdVAE appendix C: upper bound, all datasets
        temperature: NonNegative = 0.0  # 0 = exp(-1e-5 t), EdVAE appendix C; else constant
        codebook_init: Literal["uniform", "normal"] = "uniform"  # EdVAE appendix C
        pixel_variance: PositiveFloat = 1.0  # divides the MSE; 0.063 = DeepMind's on CIFAR10

    temperature: Tensor  # ()
    beta: Tensor  # ()

    def __init__(self, codebook_size: int, code_dim: int, settings: Settings):
        super().__init__(codebook_size, code_dim, settings)
        codebook = ops.random_codebook(settings.codebook_init, codebook_size, code_dim)
        self.codebook = nn.Parameter(codebook)
        self.register_buffer("temperature", torch.tensor(settings.temperature or 1.0))
        self.register_buffer("beta", torch.tensor(0.0))

    def anneal(self, t: Tensor) -> dict[str, Tensor]:
        if self.settings.temperature == 0:
            self.temperature.copy_(schedules.exponential(t))
        self.beta.copy_(schedules.quarter_cosine(t, 0.0, self.settings.beta, 5_000))
        return {"temperature": self.temperature, "beta": self.beta}

    def forward(self, z_e: Tensor) -> Quantized:
        logits = -ops.squared_distances(ops.channels_last(z_e), self.codebook)  # (B, H, W, K)
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

    def reconstruction_loss(self, x_hat: Tensor, x: Tensor) -> Tensor:
        return super().reconstruction_loss(x_hat, x) / self.settings.pixel_variance

    def posterior(self, z_e: Tensor) -> Tensor:
        logits = -ops.squared_distances(ops.channels_last(z_e), self.codebook)
        return ops.channels_first(logits.softmax(-1))
