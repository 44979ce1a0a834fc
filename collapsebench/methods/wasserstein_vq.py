"""Wasserstein VQ: VQ-VAE whose codes are pulled towards the mean and covariance of the vectors.

Paper: Fang, Guo, Chen, Zhang, Xia, Song, Liu, Wang, Yang, Sun, Yuan. Distributional matching for
    vector quantization: a unified theoretical and empirical framework. 2026; earlier version
    https://arxiv.org/abs/2506.15078
Reference code: VQ-Research/Wasserstein-VQ, code/VQVAE/model/wasserstein_quantizer.py,
    Wasserstein_Quantizer, 777e310; scripts/FFHQ/train_wasserstein_quantizer_ffhq_p1.sh.

    token = argmin_k ||z_e - c_k||^2,  z_q = its code
    Z: a queue of the last vectors, this batch included;  s: its largest standard deviation
    m_Z, S_Z, m_C, S_C: mean and covariance of Z / s and of the codes / s
    W^2 = ||m_Z - m_C||^2 + tr S_Z + tr S_C - 2 tr (S_Z^1/2 S_C S_Z^1/2)^1/2,  gradient to C only
    loss = beta ||z_e - sg[z_q]||^2 + alpha ||sg[z_e] - z_q||^2 + gamma W, mean over elements
    the decoder's gradient at z_q is passed to z_e unchanged

Differs from the paper:
    1. The authors' text gives W^2 in closed form, the code's loss has its root W. The text's alpha
       and beta weigh reconstruction and quantization, the code's the two sides of the latter.
    2. The code's constants inside the roots, 1e-8 on eigenvalues and 1e-10 on W^2, are kept; what
       is not finite gives a loss that is not, where the code goes on with zeros.
    3. The code trains its codes at 0.02, constant, and the networks at 5e-5. Here the ratio of the
       two is kept, ``codebook_lr``, and the trainer's schedule acts on both.
    4. The code's weights stand beside a squared error on [-1, 1], four times that on [0, 1]; it
       clips both gradients at norm 1.
    5. The code asks that a batch divides the queue; here any batch does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from collapsebench import ops
from collapsebench.quantizer import Incompatible, Quantized, Quantizer
from collapsebench.settings import NonNegative, Positive, PositiveFloat


class WassersteinVQ(Quantizer):
    label = "Wasserstein VQ"
    network = "vqvae"

    @dataclass(frozen=True)
    class Settings:
        beta: NonNegative = 0.1  # reference code, script
        alpha: NonNegative = 1.0  # reference code, script
        gamma: NonNegative = 0.5  # reference code, script
        codebook_lr: PositiveFloat = 400.0  # times the trainer's; reference code, 0.02 / 5e-5
        queue: Positive = 65_536  # vectors; reference code

    queue: Tensor  # (queue, D)
    pointer: Tensor  # ()

    def __init__(self, codebook_size: int, code_dim: int, settings: Settings):
        super().__init__(codebook_size, code_dim, settings)
        if codebook_size < 2 or settings.queue < 2:
            raise Incompatible("a covariance needs at least 2 codes and a queue of 2 vectors")
        self.codebook = nn.Parameter(0.01 * torch.randn(codebook_size, code_dim))
        self.register_buffer("queue", 0.01 * torch.randn(settings.queue, code_dim))
        self.register_buffer("pointer", torch.tensor(0))

    def forward(self, z_e: Tensor) -> Quantized:
        if self.training:
            self._enqueue(ops.channels_last(z_e.detach()).reshape(-1, self.code_dim))
        tokens = ops.nearest(ops.channels_last(z_e), self.codebook)
        z_q = self.embed(tokens)

        commitment = functional.mse_loss(z_e, z_q.detach())
        codebook = functional.mse_loss(z_q, z_e.detach())
        distance = wasserstein_distance(self.queue, self.codebook)
        weights = self.settings
        loss = weights.beta * commitment + weights.alpha * codebook + weights.gamma * distance
        terms = {"commitment": commitment.detach(), "wasserstein": distance.detach()}
        return Quantized(ops.straight_through(z_e, z_q), tokens, loss, terms)

    def _enqueue(self, z: Tensor) -> None:
        newest = z[-len(self.queue) :]
        places = torch.arange(len(newest), device=z.device) + self.pointer
        self.queue[places % len(self.queue)] = newest
        self.pointer.copy_((self.pointer + len(newest)) % len(self.queue))

    def embed(self, tokens: Tensor) -> Tensor:
        return ops.lookup(self.codebook, tokens)

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        return [{"params": [self.codebook], "lr": lr * self.settings.codebook_lr}]


def wasserstein_distance(vectors: Tensor, codes: Tensor) -> Tensor:
    """Distance W between Gaussians with the moments of vectors (N, D) and codes (K, D), 0-d.

    In units of the vectors' largest standard deviation; the gradient reaches the codes only.
    """
    with torch.no_grad():
        scale = vectors.std(0).max() + 1e-8
        mean, covariance = _moments(vectors / scale)
        values, axes = torch.linalg.eigh(covariance.nan_to_num())
        root = (axes * (values.relu() + 1e-8).sqrt()) @ axes.t()
    codes_mean, codes_covariance = _moments(codes / scale)
    crossed = (root @ codes_covariance @ root).nan_to_num()  # NaN goes on in the traces
    overlap = (torch.linalg.eigvalsh(crossed).relu() + 1e-8).sqrt().sum()
    spread = covariance.trace() + codes_covariance.trace() - 2 * overlap
    return ((mean - codes_mean).square().sum() + spread.relu() + 1e-10).sqrt()


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    mean = x.mean(0)
    return mean, (x - mean).t() @ (x - mean) / (len(x) - 1)
