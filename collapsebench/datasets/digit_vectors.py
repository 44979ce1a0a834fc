"""digit_vectors: the handwritten digits of `digits` as they come, vectors of 64 grey values.

Source: as `digits`; `sklearn.datasets.load_digits`, 8 x 8 values in 0..16, row by row.
Preprocessing: the mean of each pixel is taken away and all are divided by one spread, that of the
train split over all pixels, for they share a unit and four of them are never inked. Splits: those
of `_vectors`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from collapsebench.datasets._vectors import VectorSet
from collapsebench.datasets.digits import Digits
from collapsebench.settings import Data, UserError

COUNT = 1_797


class DigitVectors(VectorSet):
    """Handwritten digits as vectors; need no file of yours."""

    label = "digits, 64-vectors"
    content = Digits.content

    def shape(self, settings: Data) -> tuple[int, ...]:
        """1 797 digits of 64 values."""
        return COUNT, 64

    def rows(self, settings: Data, root: Path) -> tuple[np.ndarray, Callable[[], None]]:
        """All digits.

        Raises:
            UserError: scikit-learn ships other digits than the known ones.
        """
        from sklearn.datasets import load_digits

        rows = load_digits().data
        if hashlib.sha256(rows.astype(np.uint8).tobytes()).hexdigest()[:16] != self.content:
            raise UserError("scikit-learn's digits are not the ones that this version knows")
        return rows, lambda: None

    def standard(
        self, rows: np.ndarray, train: np.ndarray, where: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """The mean of each pixel, one spread for all."""
        own = rows[train]
        return own.mean(axis=0), np.full(64, np.sqrt(own.var(axis=0).mean()))
