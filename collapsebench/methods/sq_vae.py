"""SQ-VAE: a Gaussian of learned width around each vector decides how random its token is.

Paper: Takida et al. SQ-VAE: Variational Bayes on discrete representation with self-annealed
    stochastic quantization. ICML 2022. https://arxiv.org/abs/2205.07547 (Gaussian, variant I)
Reference code: sony/sqvae, vision/quantizer.py, GaussianVectorQuantizer, dc88ab1.

    w = 1 / (2 sigma^2),  sigma^2 = 1 + exp(s),  s learned
    l_k = -w ||z_e - c_k||^2,  p = softmax(l)
    y = softmax((l + g) / tau),  g Gumbel noise,  z_q = sum_k y_k c_k
    loss = (sum over positions of sum_k p_k ln p_k  +  w sum (z_e - z_q)^2) / B
    reconstruction = (3 W H / 2) ln(sum (x_hat - x)^2 / B)       decoder variance in closed form
    evaluation: token = argmax_k l_k, z_q = its code

Differs from the paper:
    1. sigma^2 is 1 + exp(s) in the code and so never below 1, and 21 at the start.
    2. Losses are sums over an image, not means, and beta does not exist: they are some thousands
       of times larger than other methods'. The constant ln K of the KL is left out.
    3. The EdVAE paper does not say which variant (I to IV) it ran; the code ships I.
    4. In the code D is also the width of the networks, so the EdVAE paper's D = 16 would mean
       an autoencoder of 20 000 parameters: the network family ``sqvae`` has its own ``width``.
    5. The official training differs (batch 32, learning rate halved on plateaus); here all
       methods share the EdVAE paper's frame. The temperature counts steps from 1, as the code does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from collapsebench import ops, schedules
from collapsebench.quantizer import Quantized, Quantizer
from collapsebench.settings import NonNegative


class SQVAE(Quantizer):
    label = "SQ-VAE"
    network = "sqvae"
    recordable = True
    on_purpose = frozenset({"noise in training", "loss is a sum"})

    @dataclass(frozen=True)
    class Settings:
        log_variance: float = math.log(20)  # reference code: s at the start
        temperature: NonNegative = 0.0  # 0 = exp(-1e-5 (t + 1)), reference code; else constant
        codebook_init: Literal["normal", "uniform"] = "normal"  # reference code

    temperature: Tensor  # ()

    def __init__(self, codebook_size: int, code_dim: int, settings: Settings):
        super().__init__(codebook_size, code_dim, settings)
        codebook = ops.random_codebook(settings.codebook_init, codebook_size, code_dim)
        self.codebook = nn.Parameter(codebook)
        self.log_variance = nn.Parameter(torch.tensor(settings.log_variance))
        self.register_buffer("temperature", torch.tensor(settings.temperature or 1.0))

    def anneal(self, t: Tensor) -> dict[str, Tensor]:
        if self.settings.temperature == 0:
            self.temperature.copy_(schedules.exponential(t + 1))
        return {"temperature": self.temperature}

    def forward(self, z_e: Tensor) -> Quantized:
        weight, logits = self._logits(z_e)  # (), (B, H, W, K)
        negative_entropy = ops.negative_entropy(logits).sum() / len(z_e)

        if self.training:
            u = ops.uniform_like(logits)
            gumbel = u.add_(1e-10).log_().neg_().add_(1e-10).log_().neg_()
            y = ops.relaxed_one_hot(logits, gumbel, self.temperature)
            tokens = y.argmax(-1)
            z_q = ops.channels_first(y @ self.codebook)
        else:
            tokens = logits.argmax(-1)
            z_q = self.embed(tokens)

        distance = weight * (z_e - z_q).square().sum() / len(z_e)
        terms = {"negative_entropy": negative_entropy, "distance": distance, "weight": weight}
        detached = {name: term.detach() for name, term in terms.items()}
        return Quantized(z_q, tokens, negative_entropy + distance, detached)

    def _logits(self, z_e: Tensor) -> tuple[Tensor, Tensor]:
        weight = 0.5 / (1 + self.log_variance.exp())
        distances = ops.squared_distances(ops.channels_last(z_e), self.codebook)
        return weight, -weight * distances

    def embed(self, tokens: Tensor) -> Tensor:
        return ops.lookup(self.codebook, tokens)

    def reconstruction_loss(self, x_hat: Tensor, x: Tensor) -> Tensor:
        return x[0].numel() / 2 * torch.log((x_hat - x).square().sum() / len(x))

    def posterior(self, z_e: Tensor) -> Tensor:
        return ops.channels_first(self._logits(z_e)[1].softmax(-1))
