"""patches: 32 x 32 crops of the two photographs that scikit-learn ships.

Source: `sklearn.datasets.load_sample_images`, china.jpg and flower.jpg, 427 x 640 pixels each,
CC BY. Crop grid: upper left corners every 8 pixels in both directions. Splits, by column of the
photograph so that no pixel is in two: train columns 0-447 (5 300 crops), val 448-543 (900),
test 544-639 (900). Within a split the order is random and fixed (`datasets.mixed`).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from collapsebench.datasets import Dataset, Source, mixed
from collapsebench.settings import Data, UserError

STRIDE = 8
COLUMNS = {"train": (0, 448), "val": (448, 544), "test": (544, 640)}


class Patches(Dataset):
    """Crops of two photographs; need no file of yours."""

    label = "patches"
    image_size = 32
    train_images = 5_300
    content = "c1ef34f251839d4a"  # SHA-256 of the two JPEG files, first 16 digits

    def read(self, settings: Data, root: Path) -> Source:
        """All crops.

        Raises:
            UserError: scikit-learn ships other photographs than the known ones.
        """
        from sklearn.datasets import load_sample_images

        photographs = load_sample_images()
        files = b"".join(Path(name).read_bytes() for name in photographs.filenames)
        if hashlib.sha256(files).hexdigest()[:16] != self.content:
            raise UserError("scikit-learn's photographs are not the ones that this version knows")
        crops, splits, first = [], {}, 0
        for split, (left, right) in COLUMNS.items():
            crops += [self._crops(photo[:, left:right]) for photo in photographs.images]
            count = sum(map(len, crops)) - first
            splits[split] = first + mixed(count)  # so that any few show both photographs
            first += count
        return Source(np.concatenate(crops), splits, lambda i: "photographs")

    def _crops(self, region: np.ndarray) -> np.ndarray:
        """(H, W, 3) -> (N, 32, 32, 3), row by row."""
        side = self.image_size
        windows = np.lib.stride_tricks.sliding_window_view(region, (side, side), axis=(0, 1))
        return windows[::STRIDE, ::STRIDE].transpose(0, 1, 3, 4, 2).reshape(-1, side, side, 3)
