"""Tiny files in the formats in which the datasets are published."""

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def write_cifar10(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[int], tuple[np.ndarray, np.ndarray]]:
    """Writes official batch files of random images and replaces torchvision's checksum table."""

    def write(per_batch: int) -> tuple[np.ndarray, np.ndarray]:
        from torchvision.datasets import CIFAR10

        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (6, per_batch, 32, 32, 3), dtype=np.uint8)
        folder = tmp_path / "cifar-10-batches-py"
        folder.mkdir()

        def dump(name: str, content: dict) -> list[str]:
            (folder / name).write_bytes(pickle.dumps(content))
            return [name, hashlib.md5((folder / name).read_bytes()).hexdigest()]

        names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
        rows = [batch.transpose(0, 3, 1, 2).reshape(per_batch, -1) for batch in images]
        table = [
            dump(n, {"data": row, "labels": [0] * per_batch})
            for n, row in zip(names, rows, strict=True)
        ]
        _, md5 = dump("batches.meta", {"label_names": ["thing"]})
        monkeypatch.setattr(CIFAR10, "train_list", table[:5])
        monkeypatch.setattr(CIFAR10, "test_list", table[5:])
        monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": md5})
        return images[:5].reshape(-1, 32, 32, 3), images[5]

    return write
