"""What a ``CodebookMonitor`` costs: an update, as a share of a step of the smallest network.

At default widths that is sqvae; with plain VQ, and batches of 128 images of 32 x 32.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch

from collapsebench import CodebookMonitor
from collapsebench.job import model, train
from collapsebench.plan import registry
from collapsebench.settings import Train

METHOD, NETWORK, SIZE, DIM, BATCH, IMAGES = "vq_vae", "sqvae", 512, 16, 128, 1024
STEPS, UPDATES = 10, 200


def rows() -> list[dict[str, str | float]]:
    """The share of a step that an update takes, with z_e and codebook, and that without them."""
    step, z_e, tokens, codebook = step_s()
    whole = update_s(lambda m: m.update(tokens, z_e, codebook))
    counts = update_s(lambda m: m.update(tokens))
    return [row("update", whole / step), row("update_of_tokens", counts / step)]


def row(name: str, share: float) -> dict[str, str | float]:
    """One measured number."""
    return {
        "name": f"monitor/{name}", "device": "cpu", "value": 100 * share, "unit": "% of a step",
        "target": 1.0, "better": "lower",
    }  # fmt: skip


def step_s() -> tuple[float, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Seconds of the fastest step, and what a quantizer takes and gives in one."""
    method, family = registry.method_class(METHOD), registry.network_module(NETWORK)
    built = model.build(
        method, family, image_size=32, codebook_size=SIZE, code_dim=DIM,
        method_settings=method.Settings(), network_settings=family.Settings(), seed=0,
    )  # fmt: skip
    images = np.random.default_rng(0).integers(0, 256, (IMAGES, 32, 32, 3), dtype=np.uint8)
    settings = Train(steps=STEPS, batch_size=BATCH, points=STEPS)
    ends = [time.perf_counter()]
    train.fit(
        built, images, settings, seed=0, device=torch.device("cpu"),
        report=lambda step, values: ends.append(time.perf_counter()),
    )  # fmt: skip
    x = torch.rand(BATCH, 3, 32, 32)
    z_e = built.encode(x).detach()
    codes = built.quantizer.codes()
    assert codes is not None
    return float(np.diff(ends)[1:].min()), z_e, built.quantizer(z_e).tokens, codes


def update_s(update: Callable[[CodebookMonitor], None]) -> float:
    """Seconds of the fastest of many updates."""
    monitor, found = CodebookMonitor(SIZE), []
    for _ in range(UPDATES):
        start = time.perf_counter()
        update(monitor)
        found.append(time.perf_counter() - start)
    return min(found)


if __name__ == "__main__":
    print(*rows(), sep="\n")
