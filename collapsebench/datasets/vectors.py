"""vectors: rows of a file of yours, vectors (N, F) or sequences (N, length, F).

``data.path`` is a ``.npy``, ``.npz``, ``.parquet``, ``.safetensors`` or ``.pt`` file, opened as
`_arrays` opens it (nothing is unpickled, a ``.npy`` file is memory-mapped); where it holds several
arrays or columns, ``data.array`` names one. Floats and whole numbers of any width.
Preprocessing and splits: those of `_vectors`.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from collapsebench.datasets import expanded
from collapsebench.datasets._arrays import Opened, mapped, open_array
from collapsebench.datasets._cache import hashed, place
from collapsebench.datasets._vectors import FEWEST, VectorSet
from collapsebench.settings import Data, UserError, digest

NAME = "vectors"  # of the array that is read where a file holds several and none is named


class VectorFile(VectorSet):
    """Vectors or sequences from one file."""

    label = "vectors"
    remedy = "collapsebench try FILE"

    def shape(self, settings: Data) -> tuple[int, ...]:
        """Of the array, as its file says.

        Raises:
            UserError: no file, none that can be read, or no array of numbers of two or three axes.
        """
        return _opened(settings).shape

    def where(self, settings: Data) -> str:
        """The file."""
        return str(expanded(settings.path))

    def content_hash(self, settings: Data, root: Path) -> str:
        """SHA-256 over the bytes, remembered while names, sizes and times stay.

        Raises:
            UserError: as ``shape``.
        """
        _opened(settings)
        path = expanded(settings.path)
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        state = [(str(f), f.stat().st_size, f.stat().st_mtime_ns, settings.array) for f in files]
        noted = place(root, f"vectors-{digest([str(path.resolve()), settings.array])}.json")
        return hashed(noted, digest(state), lambda: _hash(files, settings.array))

    def missing(self, settings: Data, root: Path) -> str | None:
        """None, or the line that says what is wrong with the file."""
        try:
            _opened(settings)
        except UserError as error:
            return str(error)
        return None

    def notes(self, settings: Data, root: Path) -> list[str]:
        """What was made of the rows."""
        return ["each column is standardised by its mean and spread in the train split"]

    def rows(self, settings: Data, root: Path) -> tuple[np.ndarray, Callable[[], None]]:
        """All rows, memory-mapped: of the file, or of a copy where that cannot be mapped."""
        spool = tempfile.TemporaryFile(dir=self.entry(settings, root).parent)  # noqa: SIM115
        return mapped(expanded(settings.path), settings.array or NAME, spool), spool.close


def _opened(settings: Data) -> Opened:
    if not settings.path:
        raise UserError("no file given: say where your vectors are with --set data.path=FILE")
    path = expanded(settings.path)
    opened = open_array(path, settings.array or NAME)
    shape, dtype = opened.shape, opened.dtype
    if dtype.kind not in "iuf":
        raise UserError(f"{path}: holds {dtype}, not numbers")
    if len(shape) not in (2, 3) or 0 in shape[1:]:
        raise UserError(f"{path}: its shape is {shape}, neither (N, F) nor (N, length, F)")
    if shape[0] < FEWEST:
        raise UserError(f"{path}: {shape[0]} rows; at least {FEWEST} are needed for three splits")
    return opened


def _hash(files: list[Path], array: str) -> str:
    whole = hashlib.sha256(array.encode())
    for path in files:
        try:
            with path.open("rb") as file:
                whole.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}") from None
    return whole.hexdigest()[:16]
