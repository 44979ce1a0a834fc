"""colours: two-colour ramps under noise, for level 1 of ``check``; no dataset for users.

Source: none, every byte comes from SHAKE-256, so that no generator, decoder or platform has a say.
Preprocessing: none. Splits: 330 train, 150 val, 290 test, a fixed random choice
(`datasets.mixed`): no multiple of any batch, and two full batches of 128 in train and in test.
The three channels have other means, a ramp runs along the columns only, and no two images are
alike: what swaps channels, sides, splits or images shows.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from collapsebench.datasets import Dataset, Source, mixed
from collapsebench.settings import Data

COUNTS = {"train": 330, "val": 150, "test": 290}


class Colours(Dataset):
    """Made up, and the same on every machine."""

    label = "colours"
    image_size = 16

    def content_hash(self, settings: Data, root: Path) -> str:
        """SHA-256 of all images, first 16 digits."""
        return hashlib.sha256(self._images().tobytes()).hexdigest()[:16]

    def read(self, settings: Data, root: Path) -> Source:
        """All images."""
        ends = np.cumsum([*COUNTS.values()])[:-1]
        indices = np.split(mixed(sum(COUNTS.values())), ends)
        splits = dict(zip(COUNTS, indices, strict=True))
        return Source(self._images(), splits, lambda i: "colours")

    def _images(self) -> np.ndarray:
        """(770, 16, 16, 3) uint8: seven parts of a ramp, one part of noise."""
        side, count = self.image_size, sum(COUNTS.values())
        noise = np.frombuffer(
            hashlib.shake_256(b"colours").digest(count * side * side * 3), np.uint8
        ).reshape(count, side, side, 3)
        left, right = noise[:, :1, :1].astype(int), noise[:, :1, -1:].astype(int)
        column = np.arange(side)[:, None]
        ramp = (left * (side - 1 - column) + right * column) // (side - 1)
        return (((7 * ramp + noise) // 8 - 128) * (4, 3, 2) // 4 + 128).astype(np.uint8)
