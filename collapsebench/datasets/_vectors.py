"""Vectors and sequences of vectors: which arrays are taken, how they are split and standardised.

Each of the F features is standardised by its mean and spread in the train split, over all positions
of a sequence. Splits: a tenth of the rows is the test split, a tenth of what is left the val split,
at most 2 000 each, fixed random choices (`datasets.cut`); within a split the order is random and
fixed (`datasets.mixed`).
"""

from __future__ import annotations

import math
import mmap
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from collapsebench.datasets import Dataset, Size, Source, cut, mixed, tenth
from collapsebench.settings import Data, UserError

FEWEST = 10  # rows that can be split
BLOCK = 2**22  # numbers looked at in one go
KEPT = 64  # rows in random order whose pages may stay, each up to 2 MB with its neighbours


class VectorSet(Dataset):
    """Base of the datasets of vectors: a subclass writes ``shape`` and ``rows``."""

    def shape(self, settings: Data) -> tuple[int, ...]:
        """(N, F), or (N, length, F), of all rows."""
        raise NotImplementedError(f"{type(self).__name__} must define shape(settings)")

    def rows(self, settings: Data, root: Path) -> tuple[np.ndarray, Callable[[], None]]:
        """All rows, memory-mapped where they are many, and what is to be called after the last."""
        raise NotImplementedError(f"{type(self).__name__} must define rows(settings, root)")

    def where(self, settings: Data) -> str:
        """Where the rows come from, for a message."""
        return self.name

    def standard(
        self, rows: np.ndarray, train: np.ndarray, where: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """What rows are standardised by, (F,) each: what is taken away, what they are divided by.

        Raises:
            UserError: rows that cannot be standardised, named.
        """
        return spread(rows, train, where)

    def size(self, settings: Data) -> Size:
        """(F,), or (length, F)."""
        return self.shape(settings)[1:]

    def train_count(self, settings: Data) -> int:
        """What ``splits`` leaves to train on."""
        count = self.shape(settings)[0]
        rest = count - max(1, tenth(count))
        return rest - max(1, tenth(rest))

    def read(self, settings: Data, root: Path) -> Source:
        """Every row, standardised.

        Raises:
            UserError: NaN, inf, a feature without a spread in the train split, or no room.
        """
        indices, where = splits(self.shape(settings)[0]), self.where(settings)
        _refuse_too_large(self.shape(settings), self.entry(settings, root).parent, where)
        rows, close = self.rows(settings, root)
        try:
            mean, scale = self.standard(rows, indices["train"], where)
        except UserError:
            close()
            raise
        facts = {"mean": mean.tolist(), "scale": scale.tolist()}
        standard = Standardised(rows, mean, scale)
        return Source(standard, indices, f"{where}, row {{}}".format, close, facts)


class Standardised:
    """Rows that are standardised when asked for."""

    def __init__(self, rows: np.ndarray, mean: np.ndarray, scale: np.ndarray):
        self.rows, self.mean, self.scale = rows, mean, scale

    def __getitem__(self, index: int) -> np.ndarray:
        if index % KEPT == 0:
            let_go(self.rows)
        return ((self.rows[index] - self.mean) / self.scale).astype(np.float32)


def let_go(rows: np.ndarray) -> None:
    """Drops the pages of a memory map, which are read again where they are asked for.

    What was read counts as this process's memory until somebody needs the room, however large the
    file.
    """
    if isinstance(rows.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        rows.base.madvise(mmap.MADV_DONTNEED)


def splits(count: int) -> Mapping[str, np.ndarray]:
    """Indices of ``count`` rows by split."""
    rest, test = cut(count, max(1, tenth(count)))
    kept, held_out = cut(len(rest), max(1, tenth(len(rest))))
    parts = {"train": rest[kept], "val": rest[held_out], "test": test}
    return {split: part[mixed(len(part))] for split, part in parts.items()}


def spread(rows: np.ndarray, train: np.ndarray, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (F,) of the train rows; all rows are looked at, in blocks.

    Raises:
        UserError: a value that is not finite, or features that are constant in the train split or
            too large to be squared; named.
    """
    chosen = np.zeros(len(rows), bool)
    chosen[train] = True
    count, mean, squares = 0, np.zeros(rows.shape[-1]), np.zeros(rows.shape[-1])
    low, high = np.full(rows.shape[-1], np.inf), np.full(rows.shape[-1], -np.inf)
    for start, block in _blocks(rows):
        _refuse_not_finite(block, start, where)
        own = block[chosen[start : start + len(block)]].reshape(-1, rows.shape[-1])
        if not len(own):
            continue
        low, high = np.minimum(low, own.min(axis=0)), np.maximum(high, own.max(axis=0))
        with np.errstate(over="ignore", invalid="ignore"):  # said below
            middle, total = own.mean(axis=0), count + len(own)
            shift = middle - mean
            squares += ((own - middle) ** 2).sum(axis=0)
            squares += shift**2 * count * len(own) / total  # Chan, Golub, LeVeque 1983
            mean, count = mean + shift * len(own) / total, total
    _refuse_constant(low == high, where)
    scale = np.sqrt(squares / count)
    if not np.isfinite(scale).all():
        raise UserError(
            f"{where}: column {int(np.argmin(np.isfinite(scale)))} has values too large"
        )
    return mean, scale


def _blocks(rows: np.ndarray) -> Iterator[tuple[int, Any]]:
    """(index of the first row, rows as float64) of one block after the other."""
    step = max(1, BLOCK // max(1, rows[0].size))
    for start in range(0, len(rows), step):
        yield start, rows[start : start + step].astype(np.float64)
        let_go(rows)


def _refuse_too_large(shape: tuple[int, ...], folder: Path, where: str) -> None:
    need, free = math.prod(shape) * np.dtype(np.float32).itemsize, shutil.disk_usage(folder).free
    if need > free:
        raise UserError(
            f"{where}: a standardised copy of {need / 1e9:.3g} GB belongs in {folder}, where "
            f"{free / 1e9:.3g} GB are free; --data-root names another place"
        )


def _refuse_not_finite(block: np.ndarray, start: int, where: str) -> None:
    finite = np.isfinite(block)
    if not finite.all():
        row, *inner = (int(i) for i in np.unravel_index(np.argmin(finite), block.shape))
        position = f", position {inner[0]}" if len(inner) > 1 else ""
        value = block[(row, *inner)]
        place = f"row {start + row}{position}, column {inner[-1]} (counted from 0)"
        raise UserError(f"{where}: {place} is {value}; every value must be a finite number")


def _refuse_constant(constant: np.ndarray, where: str) -> None:
    if count := int(constant.sum()):
        first = f"column {int(np.argmax(constant))} (counted from 0)"
        which = f"{first} is" if count == 1 else f"{count:,} columns, {first} the first, are"
        raise UserError(
            f"{where}: {which} constant in the train split; leave out what never varies"
        )
