"""The official recipe as a plain eager float32 loop: what the trainer must equal, and outrun.

Images are float32 tensors, layouts are torch's default, Adam is neither fused nor grouped, the
schedules are Python floats and each step reads its loss back, as in ituvisionlab/EdVAE dfcb50e and
the code around it. EdVAE and dVAE are written with torch.distributions, as there; the other
quantizers are the project's own modules.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.distributions import (
    Categorical,
    Dirichlet,
    RelaxedOneHotCategorical,
    kl_divergence,
)
from torch.nn import functional

from collapsebench.job import train
from collapsebench.job.model import DiscreteVAE
from collapsebench.methods.dvae import DVAE
from collapsebench.methods.edvae import EdVAE
from collapsebench.quantizer import Quantizer
from collapsebench.settings import PAPER_STEPS, Train


def losses(model: DiscreteVAE, images: np.ndarray, settings: Train, seed: int) -> Iterator[float]:
    """Trains ``model`` in place, in float32, on a CPU; yields the loss of each step.

    Args:
        model: as built; its buffers and parameters become contiguous.
        images: (N, H, W, 3) uint8.
        seed: of the order of batches and of the noise, as in ``train.fit``.
    """
    cpu = torch.device("cpu")
    model.to(memory_format=torch.contiguous_format).train()
    data = torch.from_numpy(images).permute(0, 3, 1, 2).float().div(255).contiguous()
    batches = train.Batches(len(images), settings.batch_size, seed, cpu)
    rates = settings.learning_rate
    groups = [
        {"params": [*model.encoder.parameters(), *model.decoder.parameters()], "lr": rates},
        *(g for g in model.quantizer.parameter_groups(rates) if g["params"]),
    ]
    base = [group["lr"] for group in groups]
    optimizer = torch.optim.Adam(groups, foreach=False)
    torch.manual_seed(seed + 1)
    with torch.no_grad():
        model.quantizer.initialize(model.encoder(data[batches.batch(0)]))
    for step in range(settings.steps):
        t = torch.tensor(step * PAPER_STEPS / settings.horizon)
        rate = float(train.learning_rate(t, settings))
        for group, start in zip(optimizer.param_groups, base, strict=True):
            group["lr"] = start * rate / settings.learning_rate
        model.quantizer.anneal(t)
        x = data[batches.batch(step)]
        z_e = model.encoder(x)
        z_q, own_loss, tokens = quantize(model.quantizer, z_e)
        loss = model.quantizer.reconstruction_loss(model.decoder(z_q), x) + own_loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            model.quantizer.update(z_e.detach(), tokens)
        yield loss.item()


def quantize(quantizer: Quantizer, z_e: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """z_e -> z_q, the weighted loss, tokens."""
    if isinstance(quantizer, EdVAE):
        return edvae(quantizer, z_e)
    if isinstance(quantizer, DVAE):
        return dvae(quantizer, z_e)
    found = quantizer(z_e)
    return found.z_q, found.loss, found.tokens


def edvae(quantizer: EdVAE, z_e: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A relaxed categorical of the Dirichlet's mean, and the Dirichlet's divergence from flat."""
    alpha = z_e.permute(0, 2, 3, 1).clamp(max=quantizer.settings.clamp).exp() + 1
    probabilities = alpha / alpha.sum(-1, keepdim=True)
    y = RelaxedOneHotCategorical(quantizer.temperature, probabilities).rsample()
    kl = kl_divergence(Dirichlet(alpha), Dirichlet(torch.ones_like(alpha))).mean()
    z_q = torch.einsum("bhwk,kd->bdhw", y, quantizer.codebook)
    return z_q, float(quantizer.beta) * kl, y.argmax(-1)


def dvae(quantizer: DVAE, z_e: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gumbel-softmax of the logits, and the categorical's divergence from uniform."""
    logits = z_e.permute(0, 2, 3, 1)
    gumbel = -torch.log(-torch.log(torch.rand(logits.shape)))
    y = functional.softmax((logits + gumbel) / quantizer.temperature, dim=-1)
    kl = kl_divergence(Categorical(logits=logits), Categorical(logits=torch.zeros_like(logits)))
    z_q = torch.einsum("bhwk,kd->bdhw", y, quantizer.codebook)
    return z_q, float(quantizer.beta) * kl.mean(), y.argmax(-1)
