"""EdVAE: the encoder's logits are the evidence of a Dirichlet over the codes, not a softmax.

Paper: Baykal, Kandemir, Unal. EdVAE: Mitigating codebook collapse with evidential discrete
    variational autoencoders. Pattern Recognition 156 (2024) 110792.
    https://doi.org/10.1016/j.patcog.2024.110792
Reference code: ituvisionlab/EdVAE, DirichletQuantizer, dfcb50e.

    alpha = exp(min(l, clamp)) + 1,  S = sum_k alpha_k                      eq. 6, appendix C
    p = alpha / S                                                           eq. B.16
    y = softmax((ln p + g) / tau),  g Gumbel noise,  z_q = sum_k y_k c_k    eq. 2, 3
    loss = beta KL(Dir(alpha) || Dir(1, ..., 1)), mean over positions       eq. 12, appendix A
    evaluation: token = argmax_k l_k, z_q = its code

Differs from the paper:
    1. Algorithm 1 draws pi ~ Dir(alpha) before relaxing it; the code relaxes the mean alpha / S,
       as equation B.16 does: ``train_probs = "sample"`` is Algorithm 1.
    2. Algorithm 2 samples tokens at test time; the code takes the arg-max: ``encode.assignment``.
    3. Equation 12 subtracts the KL; the code adds it, as the ELBO of equation 11 asks.
    4. The clamp acts on alpha only; the arg-max of evaluation sees the unclamped logits.
    5. The code's float32 KL loses its gradient: on a single large logit it is 2 % off at 18, 81 %
       at 20, zero from 22 on. ``kl = "float64"`` and ``"stable"`` (closed form) repair it.
    6. The KL is summed over codes, averaged over positions; the MSE is a mean over elements.
    7. The temperature ends at 0.22, not at 0 (section 4.1; appendix C agrees with the code).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from collapsebench import ops, schedules
from collapsebench.quantizer import Quantized, Quantizer
from collapsebench.settings import NonNegative, PositiveFloat


class EdVAE(Quantizer):
    label = "EdVAE"
    network = "dalle"
    recordable = True
    compiles = True
    on_purpose = frozenset({"noise in training", "no commitment"})
    for_dataset = {"celeba": {"beta": 1e-7}, "lsun_church": {"beta": 1e-7}}  # appendix C

    @dataclass(frozen=True)
    class Settings:
        beta: NonNegative = 5e-7  # appendix C: upper bound on CIFAR10
        clamp: PositiveFloat = 20.0  # appendix C
        temperature: NonNegative = 0.0  # 0 = exp(-1e-5 t), appendix C; else constant, as in D.1
        kl: Literal["official", "float64", "stable"] = "official"  # reference code
        train_probs: Literal["mean", "sample"] = "mean"  # reference code; Algorithm 1 samples
        codebook_init: Literal["normal", "uniform"] = "normal"  # appendix C

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
        evidence = logits.clamp(max=self.settings.clamp).exp()
        alpha = evidence + 1
        kl = self._kl(logits, evidence, alpha).mean()

        if self.training:
            y = self._relaxed_sample(alpha)
            tokens = y.argmax(-1)
            z_q = ops.channels_first(y @ self.codebook)
        else:
            tokens = logits.argmax(-1)
            z_q = self.embed(tokens)

        uncertainty = (self.codebook_size / alpha.detach().sum(-1)).mean()
        return Quantized(
            z_q, tokens, self.beta * kl, {"kl": kl.detach(), "uncertainty": uncertainty}
        )

    def _relaxed_sample(self, alpha: Tensor) -> Tensor:
        if self.settings.train_probs == "sample":
            p = torch.distributions.Dirichlet(alpha, validate_args=False).rsample()
        else:
            p = alpha / alpha.sum(-1, keepdim=True)
        # torch's relaxed categorical clamps both: codes with p < eps get no gradient from here.
        eps = torch.finfo(p.dtype).eps
        gumbel = ops.uniform_like(p).clamp_(eps, 1 - eps).log_().neg_().log_().neg_()
        return ops.relaxed_one_hot(p.clamp(eps, 1 - eps).log(), gumbel, self.temperature)

    def _kl(self, logits: Tensor, evidence: Tensor, alpha: Tensor) -> Tensor:
        if self.settings.kl == "stable":
            return ops.stable_dirichlet_kl(evidence)
        if self.settings.kl == "float64":
            alpha = logits.double().clamp(max=self.settings.clamp).exp() + 1
        return ops.dirichlet_kl(alpha).to(logits.dtype)

    def embed(self, tokens: Tensor) -> Tensor:
        return ops.lookup(self.codebook, tokens)

    def posterior(self, z_e: Tensor) -> Tensor:
        alpha = z_e.clamp(max=self.settings.clamp).exp() + 1
        return alpha / alpha.sum(1, keepdim=True)
