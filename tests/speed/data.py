"""How fast cached 32 x 32 images become device batches of 128, drawn as the trainer does."""

import tempfile
import time
from pathlib import Path

import torch

from collapsebench.datasets.patches import Patches
from collapsebench.job.train import Batches
from collapsebench.settings import Data

BATCH = 128
SECONDS = 3.0
TARGET = 50_000  # images per second on a CPU


def rows() -> list[dict[str, str | float]]:
    """One row: images per second from a prepared cache, opening it included."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as root:
        Patches().load(Data(), Path(root))  # decode once
        return [
            {
                "name": "data/batches_32x32",
                "device": device.type,
                "value": _images_per_second(Path(root), device),
                "unit": "images/s",
                "target": TARGET,
            }
        ]


def _images_per_second(root: Path, device: torch.device) -> float:
    start, step = time.perf_counter(), 0
    items = Patches().load(Data(), root)
    train = torch.from_numpy(items.train).to(device)
    batches = Batches(len(train), BATCH, 0, device)
    while time.perf_counter() - start < SECONDS:
        items.form.batch(train[batches.batch(step)])
        step += 1
    if device.type == "cuda":
        torch.cuda.synchronize()
    return step * BATCH / (time.perf_counter() - start)


if __name__ == "__main__":
    print(*rows(), sep="\n")
