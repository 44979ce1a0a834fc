"""Scoring: images to features, and features of two sets of 10 000 images to distances.

Inception's weights are random here, which takes as long as the published ones.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from collapsebench.fidelity import (
    EXTRACTORS,
    Extractor,
    features,
    frechet_distance,
    load_extractor,
    precision_recall,
)
from collapsebench.quantities import INCEPTION
from tests.fidelity.conftest import write_random_inception

COUNT, DIM, NEAREST = 10_000, 2048, 3
IMAGES = {INCEPTION: 64, EXTRACTORS[-1]: 4096}  # enough for some seconds on a CPU


def rows() -> list[dict[str, str | float]]:
    """Images per second of each extractor; seconds of the distances, on the CPU."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as folder:
        weights = write_random_inception(Path(folder) / "random.pth")
        found = [
            row(f"{name}_features", device.type, "images/s", rate(extractor, count, device))
            for name, count in IMAGES.items()
            for extractor in [load_extractor(name, weights, allow_unverified=True)]
        ]
    real, fake = np.random.default_rng(0).standard_normal((2, COUNT, DIM), dtype=np.float32)
    unit = f"s for {COUNT} + {COUNT} images"
    distance = seconds(lambda: frechet_distance(real, fake))
    found.append(row(f"frechet_distance_{DIM}", "cpu", unit, distance))
    neighbours = seconds(lambda: precision_recall(real, fake, NEAREST))
    return [*found, row(f"precision_recall_{DIM}", "cpu", unit, neighbours)]


def row(name: str, device: str, unit: str, value: float) -> dict[str, str | float]:
    """One measured number."""
    return {"name": f"scoring/{name}", "device": device, "value": value, "unit": unit}


def rate(extractor: Extractor, count: int, device: torch.device) -> float:
    """Images of 32 x 32 per second, starting the extractor left out."""
    images = np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    start = seconds(lambda: features(images[:1], extractor, device=device))
    return count / (seconds(lambda: features(images, extractor, device=device)) - start)


def seconds(function: Callable[[], object]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start
