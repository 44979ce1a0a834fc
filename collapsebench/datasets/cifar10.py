"""cifar10: 60 000 photographs of ten kinds of things, 32 x 32.

Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009;
https://www.cs.toronto.edu/~kriz/cifar.html, read by `torchvision.datasets.CIFAR10`.
Preprocessing: none. Splits: test 10 000 as published; of the published 50 000 training images,
2 000 are val, a fixed random choice (`datasets.cut`), and 48 000 train.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from collapsebench.datasets import Dataset, Source, absent, cut, tenth
from collapsebench.datasets._torchvision import check_files, fetch
from collapsebench.settings import Data

FOLDER = "cifar-10-batches-py"
FILES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta")
REMEDY = "collapsebench data prepare -d cifar10 --download"
ADVICE = (
    "unpack cifar-10-python.tar.gz of https://www.cs.toronto.edu/~kriz/cifar.html in the data root "
    f"(--data-root), or run `{REMEDY}`"
)


class CIFAR10(Dataset):
    """CIFAR10 from its official Python batches."""

    label = "CIFAR10"
    remedy = REMEDY
    image_size = 32
    train_images = 48_000
    content = "c58f30108f718f92721af3b95e74349a"  # published MD5 of cifar-10-python.tar.gz

    def lacking(self, settings: Data, root: Path) -> str | None:
        """Names the absent batch files."""
        return absent(self.label, root / FOLDER, FILES, ADVICE)

    def download(self, root: Path) -> None:
        """Fetches the official archive."""
        from torchvision.datasets import CIFAR10

        fetch(CIFAR10, root)

    def read(self, settings: Data, root: Path) -> Source:
        """All images, training batches first."""
        train, test = official(root)
        kept, val = cut(len(train), tenth(len(train)))
        splits = {"train": kept, "val": val, "test": len(train) + np.arange(len(test))}
        return Source(np.concatenate([train, test]), splits, lambda i: str(root / FOLDER))


def official(root: Path) -> tuple[np.ndarray, np.ndarray]:
    """The published train and test images, uint8 (N, 32, 32, 3), in the order of the batches.

    Raises:
        UserError: a batch file that is not the published one; it is not unpickled then.
    """
    from torchvision.datasets import CIFAR10

    meta = (CIFAR10.meta["filename"], CIFAR10.meta["md5"])
    check_files(root / FOLDER, [*CIFAR10.train_list, *CIFAR10.test_list, meta])
    return CIFAR10(root, train=True).data, CIFAR10(root, train=False).data
