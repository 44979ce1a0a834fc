"""Tiny real trainings of a vector-quantized autoencoder, each with one fault planted or with none.

Data are 8-dimensional vectors around 32 centres, the encoder and the decoder linear maps or small
networks, the codebook 32 codes learned by gradient; a fault changes one line of that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from collapsebench import CodebookMonitor

SIZE, DIM, BATCH = 32, 8, 256
STEPS, WINDOW = 200, 25


@dataclass
class Training:
    """What a fault may change.

    Attributes:
        codes: makes the start of the codebook (K, D) from the first batch of z_e.
        data: a step and vectors (B, D) -> what the encoder gets.
        encode: a step and z_e -> what the quantizer gets.
        beta: weight of the commitment loss.
        rate: learning rate of the codes over that of the networks.
        batch: vectors of an update.
    """

    codes: Callable[[Tensor], Tensor] = lambda z: z[:SIZE].clone()
    data: Callable[[int, Tensor], Tensor] = lambda step, x: x
    encode: Callable[[int, Tensor], Tensor] = lambda step, z: z
    beta: float = 0.25
    rate: float = 1.0
    batch: int = BATCH
    size: int = SIZE
    cause: str = field(default="")


def train(plan: Training, seed: int, monitor: CodebookMonitor | None = None) -> CodebookMonitor:
    """Trains and watches; returns the monitor after its last window."""
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    centres = 2 * torch.randn(SIZE, DIM, generator=generator)
    encoder, decoder = nn.Linear(DIM, DIM), nn.Linear(DIM, DIM)
    nn.init.orthogonal_(encoder.weight)

    def batch(count: int) -> Tensor:
        kind = torch.randint(SIZE, (count,), generator=generator)
        return centres[kind] + 0.3 * torch.randn(count, DIM, generator=generator)

    first = plan.encode(0, encoder(plan.data(0, batch(4 * BATCH)))).detach()
    codebook = nn.Parameter(plan.codes(first))
    monitor = monitor or CodebookMonitor(plan.size)
    networks = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(
        [{"params": networks, "lr": 3e-3}, {"params": [codebook], "lr": 3e-3 * plan.rate}]
    )
    for step in range(STEPS):
        x = plan.data(step, batch(plan.batch))
        z = plan.encode(step, encoder(x))
        tokens = torch.cdist(z.detach(), codebook.detach()).argmin(dim=1)
        z_q = codebook[tokens]
        commitment = (z - z_q.detach()).square().mean()
        through = z + (z_q - z).detach()
        loss = (decoder(through) - x).square().mean() + plan.beta * commitment
        loss = loss + (z_q - z.detach()).square().mean()
        monitor.update(tokens, z, codebook)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (step + 1) % WINDOW == 0:
            monitor.compute()
    return monitor


def spread(z: Tensor) -> Tensor:
    """Starts that are vectors far apart, one after the other: most centres get a code."""
    chosen = [0]
    distance = torch.cdist(z, z[:1]).squeeze(1)
    for _ in range(SIZE - 1):
        chosen.append(int(distance.argmax()))
        distance = torch.minimum(distance, torch.cdist(z, z[chosen[-1:]]).squeeze(1))
    return z[chosen].clone()


def shift(step: int, z: Tensor) -> Tensor:
    """Moves away, 20 units over a training."""
    return z + 20 * step / STEPS


def mostly_one(step: int, x: Tensor) -> Tensor:
    """Four of five vectors are one and the same."""
    return torch.where(torch.arange(len(x))[:, None] % 5 > 0, torch.zeros(()), x)


ENCODER = "the encoder collapsed, not the codebook"
FEW = "too few tokens to tell"
PLANTED = {
    "far_codes": Training(lambda z: 30 + torch.randn(SIZE, DIM), cause="bad start"),
    "tiny_codes": Training(
        lambda z: (2 * torch.rand(SIZE, DIM) - 1) / SIZE,
        encode=lambda step, z: z + 3,
        cause="bad start",
    ),
    "moving_inputs": Training(spread, encode=shift, rate=0.3, cause="drift"),
    "shrinking_inputs": Training(
        spread,
        encode=lambda step, z: z * 0.05 ** (step / STEPS),
        rate=0.3,
        cause="drift",
    ),
    "constant_encoder": Training(spread, encode=lambda step, z: z * 1e-6 + 1, cause=ENCODER),
    "encoder_on_a_line": Training(
        spread, encode=lambda step, z: z[:, :1] * torch.ones(DIM) + 0.001 * z, cause=ENCODER
    ),
    "fading_encoder": Training(spread, encode=lambda step, z: z * 0.9**step, cause=ENCODER),
    "few_tokens": Training(spread, batch=2, cause=FEW),
    "copies": Training(lambda z: spread(z)[:4].repeat(SIZE // 4, 1), cause="duplicates"),
    "one_background": Training(spread, data=mostly_one, cause="domination"),
    "frozen_codes": Training(spread, rate=0.0, cause="not trained"),
}
HEALTHY = {
    "healthy": Training(spread),
    "healthy_from_data": Training(),
    "healthy_slow_codes": Training(spread, rate=0.3),
    "healthy_large_offset": Training(spread, encode=lambda step, z: z + 5),
}
