"""Cached against naive sampling of the prior: the targets of the design, measured in one run.

The naive sampler runs a full forward over rows 0..i for every position of row i, as the published
one does (rosinality/vq-vae-2-pytorch ef5f67c, sample.py), with the published network's arithmetic:
a convolution over one-hot tokens and an attention matrix that is stored whole. Its cost is the sum
of its forward passes, each crop height timed once and counted once per column: at 32 x 32 the whole
would take a quarter of an hour. Beside it stands the same sampler with this project's own forward,
whose look-ups and fused attention already make the naive way cheaper.
"""

import functools
import math
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from collapsebench.prior import PixelSNAIL, sample
from collapsebench.prior.network import HEADS, Attention, Stem
from collapsebench.settings import Prior

BATCH = 16
CODEBOOK_SIZE = 512
PROBE = Prior(channels=64, blocks=2, layers=4)
TARGETS = {8: 12.0, 16: 60.0, 32: 400.0}  # naive / cached, at least
FORWARDS = 2.0  # cached / one full forward, at most, from 16 x 16 on
REPEATS = 3


def seconds(function: Callable[[], object]) -> float:
    """CPU seconds of one call, the least of three after one that warms up."""
    function()
    taken = []
    for _ in range(REPEATS):
        start = time.process_time()
        function()
        taken.append(time.process_time() - start)
    return min(taken)


class PublishedStem(Stem):
    """The same function of the tokens, as convolutions of their one-hot form."""

    def forward(self, tokens: Tensor) -> Tensor:
        x = functional.one_hot(tokens, self.codebook_size).permute(0, 3, 1, 2).float()
        above = self.above(functional.pad(x, (2, 2, 1, 0)))
        left = self.left(functional.pad(x, (1, 0, 2, 0)))
        down = functional.pad(above, (0, 0, 1, 0))[:, :, :-1]
        return down + functional.pad(left, (1, 0))[..., :-1]


class PublishedAttention(Attention):
    """The same attention, its whole matrix computed and masked."""

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        batch, _, height, width = query.shape
        query, key = query.flatten(2).transpose(1, 2), key.flatten(2).transpose(1, 2)
        q, k, v = (
            x.unflatten(2, (HEADS, -1)).transpose(1, 2)
            for x in (self.query(query), self.key(key), self.value(key))
        )
        scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])
        seen = torch.ones(scores.shape[-2:], dtype=torch.bool).tril(-1)
        weights = scores.masked_fill(~seen, -1e4).softmax(3) * seen.any(1, keepdim=True)
        return (weights @ v).transpose(2, 3).reshape(batch, -1, height, width)


def published(model: PixelSNAIL) -> PixelSNAIL:
    """The model with the published arithmetic, sharing its weights; checked to be equal."""
    twin = PixelSNAIL(CODEBOOK_SIZE, model.height, model.width, PROBE).eval()
    twin.load_state_dict(model.state_dict())
    twin.stem.__class__ = PublishedStem
    for block in twin.blocks:
        block.attention.__class__ = PublishedAttention
    tokens = torch.randint(CODEBOOK_SIZE, (1, model.height, model.width))
    torch.testing.assert_close(twin(tokens), model(tokens), rtol=1e-4, atol=1e-5)
    return twin


def measure(size: int) -> list[dict[str, str | float]]:
    """Speed-ups over both naive samplers, and from 16 x 16 on the cost in full forwards."""
    torch.manual_seed(0)
    model = PixelSNAIL(CODEBOOK_SIZE, size, size, PROBE).eval()
    tokens = torch.randint(CODEBOOK_SIZE, (BATCH, size, size))
    crops = {}
    with torch.inference_mode():
        for name, network in (("published", published(model)), ("own", model)):
            crops[name] = [
                seconds(functools.partial(network, tokens[:, :rows])) for rows in range(1, size + 1)
            ]
    cpu = torch.device("cpu")
    cached = seconds(lambda: sample(model, BATCH, seed=0, batch_size=BATCH, device=cpu))
    found = [
        row(f"{size}x{size}_speed_up", sum(crops["published"]) * size / cached,
            "x published naive", TARGETS[size]),
        row(f"{size}x{size}_speed_up_own", sum(crops["own"]) * size / cached, "x own naive"),
        row(f"{size}x{size}_seconds", cached, "s for 16 samples"),
    ]  # fmt: skip
    if size >= 16:
        cost = row(f"{size}x{size}_cost", cached / crops["published"][-1], "published forwards",
                   FORWARDS)  # fmt: skip
        found.append(cost | {"better": "lower"})
        found.append(row(f"{size}x{size}_cost_own", cached / crops["own"][-1], "own forwards"))
    return found


def row(name: str, value: float, unit: str, target: float | None = None) -> dict[str, str | float]:
    """One measured number."""
    found: dict[str, str | float] = {"name": f"prior/sampling_{name}", "device": "cpu"}
    found |= {"value": value, "unit": unit}
    return found if target is None else found | {"target": target}


def rows() -> list[dict[str, str | float]]:
    """Per grid size one or two rows, on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [row for size in TARGETS for row in measure(size)]
    finally:
        torch.set_num_threads(threads)
