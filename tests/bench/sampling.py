"""Cached against naive sampling of the prior: the targets of the design, measured in one run.

The naive sampler's cost is the sum of its forward passes, each crop height timed once and counted
once per column: at 32 x 32 the whole would take a quarter of an hour.
"""

import time
from collections.abc import Callable

import torch

from collapsebench.prior import PixelSNAIL, sample
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


def measure(size: int) -> list[dict[str, str | float]]:
    """The speed-up over the naive sampler, and from 16 x 16 on the cost in full forwards."""
    torch.manual_seed(0)
    model = PixelSNAIL(CODEBOOK_SIZE, size, size, PROBE).eval()
    tokens = torch.randint(CODEBOOK_SIZE, (BATCH, size, size))
    with torch.inference_mode():
        crops = [seconds(lambda rows=rows: model(tokens[:, :rows])) for rows in range(1, size + 1)]
    cpu = torch.device("cpu")
    cached = seconds(lambda: sample(model, BATCH, seed=0, batch_size=BATCH, device=cpu))
    name = f"prior/sampling_{size}x{size}"
    speed_up = {
        "name": f"{name}_speed_up",
        "device": "cpu",
        "value": sum(crops) * size / cached,
        "unit": "x the naive sampler",
        "target": TARGETS[size],
    }
    cost = {
        "name": f"{name}_cost",
        "device": "cpu",
        "value": cached / crops[-1],
        "unit": "full forwards (at most)",
        "target": FORWARDS,
    }
    return [speed_up, cost] if size >= 16 else [speed_up]


def rows() -> list[dict[str, str | float]]:
    """Per grid size one or two rows, on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [row for size in TARGETS for row in measure(size)]
    finally:
        torch.set_num_threads(threads)


if __name__ == "__main__":
    print(*rows(), sep="\n")
