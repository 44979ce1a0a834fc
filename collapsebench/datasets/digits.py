"""digits: the 1 797 handwritten digits that scikit-learn ships, as 32 x 32 RGB.

Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning
Repository, 1998 (its test part); `sklearn.datasets.load_digits`, 8 x 8 pixels in 0..16.
Preprocessing: scaled to 0..255, resized with Pillow's bilinear filter, the grey value in all
three channels. Splits: 1 297 train, 250 val, 250 test, a fixed random choice (`datasets.cut`).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from collapsebench.datasets import Dataset, Source, cut
from collapsebench.settings import Data, UserError

HELD_OUT = 250  # images in each of val and test
BRIGHTEST = 16  # the largest value in scikit-learn's images


class Digits(Dataset):
    """Handwritten digits; need no file of yours."""

    label = "digits"
    image_size = 32
    train_images = 1_297
    content = "8f26b2bd9d135c25"  # SHA-256 of the 8 x 8 values as uint8, first 16 digits

    def read(self, settings: Data, root: Path) -> Source:
        """All digits at 32 x 32.

        Raises:
            UserError: scikit-learn ships other digits than the known ones.
        """
        from PIL import Image
        from sklearn.datasets import load_digits

        small = load_digits().images.astype(np.uint8)
        if hashlib.sha256(small.tobytes()).hexdigest()[:16] != self.content:
            raise UserError("scikit-learn's digits are not the ones that this version knows")
        grey = np.round(small * (255 / BRIGHTEST)).astype(np.uint8)
        size, filter = (self.image_size, self.image_size), Image.Resampling.BILINEAR
        images = np.stack([np.asarray(Image.fromarray(g).resize(size, filter)) for g in grey])
        rest, held_out = cut(len(images), 2 * HELD_OUT)
        splits = {"train": rest, "val": held_out[::2], "test": held_out[1::2]}
        return Source(np.repeat(images[..., None], 3, axis=-1), splits, lambda i: "digits")
