"""Token files of any tokenizer, read in pieces: .npy, .npz, .parquet, .pt, in bounded memory."""

from __future__ import annotations

import math
import pickle
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from collapsebench.settings import UserError, did_you_mean

NAME = "tokens"  # of the array or column that is read where a file holds several
LARGEST_CODEBOOK = 2**24  # a larger token is taken for a mistake, not for a token

Pieces = Callable[[int], Iterator[NDArray[Any]]]
Opened = tuple[tuple[int, ...], np.dtype[Any], Pieces]  # shape, type, values


@dataclass(frozen=True)
class TokenFile:
    """An opened token file.

    Attributes:
        path: where it lies.
        rows: N, the number of images, clips or users; of single tokens if the file is flat.
        positions: () flat, (length,) sequences, (h, w) maps, or more axes.
        codebooks: Q, tokens per position; the last axis of the file if above 1.
        pieces: n -> the tokens in file order (row, position, codebook), as flat integer arrays of
            n tokens and a shorter last one. Memory-mapped or streamed.
    """

    path: Path
    rows: int
    positions: tuple[int, ...]
    codebooks: int
    pieces: Pieces

    @property
    def positions_per_row(self) -> int:
        """h * w, or the length of a sequence; 1 for a flat file."""
        return math.prod(self.positions)

    @property
    def row_tokens(self) -> int:
        """Tokens in one row: positions times codebooks."""
        return self.positions_per_row * self.codebooks

    @property
    def size(self) -> int:
        """All tokens of the file."""
        return self.rows * self.row_tokens


def open_tokens(path: Path, codebooks: int = 1) -> TokenFile:
    """Opens a file of integer tokens, shape (N,), (N, length), (N, h, w) or with a last axis Q.

    An .npz file, a .parquet table and a .pt dictionary hold one array, or one named ``tokens``.
    A parquet column has integers or lists of equal length. Nothing is unpickled but by
    ``torch.load(weights_only=True)``. Values are checked when they are read, by ``checked``.

    Args:
        path: the file.
        codebooks: Q; above 1 the last axis has this length (residual tokens).

    Raises:
        UserError: no such file, an unknown or damaged format, floats, no tokens, or a shape that
            does not end in Q.
    """
    shape, dtype, pieces = _open(path)
    if not np.issubdtype(dtype, np.integer):
        raise UserError(f"{path}: tokens must be integers, not {dtype}")
    if 0 in shape or not shape:
        raise UserError(f"{path}: no tokens (shape {shape})")
    if codebooks > 1 and (len(shape) == 1 or shape[-1] != codebooks):
        raise UserError(f"{path}: shape {shape} does not end in {codebooks} codebooks")
    positions = shape[1:-1] if codebooks > 1 else shape[1:]
    return TokenFile(path, shape[0], positions, codebooks, pieces)


def checked(path: Path, tokens: NDArray[Any], codebook_size: int) -> NDArray[np.int64]:
    """The tokens as int64, if all are in [0, K).

    Raises:
        UserError: a negative token, or one that is K or more.
    """
    if (least := int(tokens.min())) < 0:
        raise UserError(f"{path}: token {least} is negative; mask padding before saving")
    if (most := int(tokens.max())) >= codebook_size:
        raise UserError(
            f"{path}: token {most} is outside a codebook of {codebook_size} codes (0 to "
            f"{codebook_size - 1})"
        )
    return tokens.astype(np.int64, copy=False)


def largest_token(file: TokenFile, piece: int) -> int:
    """The largest token, by one pass over the file in pieces of ``piece`` tokens.

    Raises:
        UserError: a negative token, or one above ``LARGEST_CODEBOOK``.
    """
    return max(int(checked(file.path, p, LARGEST_CODEBOOK).max()) for p in file.pieces(piece))


def open_codebook(path: Path, codebooks: int = 1) -> NDArray[Any]:
    """A codebook file, .npy, .npz or .pt, (K, D) or (Q, K, D) -> (Q, K, D).

    Raises:
        UserError: a file that cannot be read, another shape, or values that are not finite.
    """
    shape, dtype, pieces = _open(path, "codebook")
    full = shape if len(shape) == 3 else (1, *shape)
    if len(full) != 3 or full[0] != codebooks or 0 in full:
        wanted = "(K, D)" if codebooks == 1 else f"({codebooks}, K, D)"
        raise UserError(f"{path}: a codebook has the shape {wanted}, not {shape}")
    values = np.concatenate(list(pieces(math.prod(full)))).reshape(full)
    if not np.issubdtype(dtype, np.number) or not np.isfinite(values).all():
        raise UserError(f"{path}: a codebook holds finite numbers only")
    return values


def _open(path: Path, name: str = NAME) -> Opened:
    if path.suffix not in _OPENERS:
        raise UserError(f"{path}: unknown format{did_you_mean(path.suffix, _OPENERS)}")
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    with _readable(path):
        shape, dtype, pieces = _OPENERS[path.suffix](path, name)

    def guarded(n: int) -> Iterator[NDArray[Any]]:
        with _readable(path):
            yield from pieces(n)

    return shape, dtype, guarded


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGED as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UserError(f"{path}: cannot be read as {path.suffix} ({reason})") from None


def _open_npy(path: Path, name: str) -> Opened:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if not array.flags.c_contiguous:
        raise UserError(f"{path}: {_FORTRAN}")

    def pieces(n: int) -> Iterator[NDArray[Any]]:
        for start in range(0, array.size, n):  # a map of its own each: the last one's pages go
            offset = array.offset + start * array.itemsize
            yield np.memmap(path, array.dtype, "r", offset, min(n, array.size - start))

    return array.shape, array.dtype, pieces


def _open_npz(path: Path, name: str) -> Opened:
    with zipfile.ZipFile(path) as archive:
        names = [member.removesuffix(".npy") for member in archive.namelist()]
        member = f"{_choose(path, names, name)}.npy"
        with archive.open(member) as stream:
            shape, dtype = _npy_header(path, stream)

    def pieces(n: int) -> Iterator[NDArray[Any]]:
        with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
            _npy_header(path, stream)
            while data := stream.read(n * dtype.itemsize):
                yield np.frombuffer(data, dtype)

    return shape, dtype, pieces


def _npy_header(path: Path, stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    else:
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(stream)
    if dtype.hasobject:
        raise UserError(f"{path}: holds Python objects, not an array of integers")
    if fortran and len(shape) > 1:
        raise UserError(f"{path}: {_FORTRAN}")
    return shape, dtype


def _open_parquet(path: Path, name: str) -> Opened:
    with pq.ParquetFile(path, memory_map=True) as file:
        column = _choose(path, file.schema_arrow.names, name)
        rows = file.metadata.num_rows
        if rows == 0:
            raise UserError(f"{path}: no tokens (column {column!r} is empty)")
        axes, values = _flat(path, next(file.iter_batches(1, columns=[column])).column(0), None)

    def batches(n: int) -> Iterator[NDArray[Any]]:
        with pq.ParquetFile(path, memory_map=True) as file:
            for batch in file.iter_batches(max(1, n // math.prod(axes)), columns=[column]):
                yield _flat(path, batch.column(0), axes)[1]

    return (rows, *axes), values.dtype, lambda n: _regrouped(batches(n), n)


def _flat(
    path: Path, values: pa.Array, axes: tuple[int, ...] | None
) -> tuple[tuple[int, ...], NDArray[Any]]:
    """The lengths of the nested lists in a column, and what they hold; ``axes`` if known."""
    found: list[int] = []
    while pa.types.is_nested(values.type):
        lengths = pc.unique(pc.list_value_length(values)).to_pylist()
        if len(lengths) != 1 or (axes and lengths[0] != axes[len(found)]):
            raise UserError(f"{path}: rows of unequal lengths; save one flat column of tokens")
        found.append(lengths[0])
        values = values.flatten()
    if values.null_count:
        raise UserError(f"{path}: {values.null_count} empty values (nulls) among the tokens")
    return tuple(found), values.to_numpy(zero_copy_only=False)


def _regrouped(parts: Iterator[NDArray[Any]], n: int) -> Iterator[NDArray[Any]]:
    """The same values in arrays of ``n``, the last one shorter."""
    rest = next(parts)
    for part in parts:
        while len(rest) >= n:
            yield rest[:n]
            rest = rest[n:]
        rest = np.concatenate([rest, part])
    yield from (rest[start : start + n] for start in range(0, len(rest), n))


def _open_pt(path: Path, name: str) -> Opened:
    import torch

    loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    if isinstance(loaded, dict):
        loaded = loaded[_choose(path, list(loaded), name)]
    if not isinstance(loaded, torch.Tensor):
        raise UserError(f"{path}: holds a {type(loaded).__name__}, not a tensor")
    array = (loaded.float() if loaded.is_floating_point() else loaded).contiguous().numpy()
    flat = array.reshape(-1)
    return array.shape, array.dtype, lambda n: (flat[i : i + n] for i in range(0, flat.size, n))


def _choose(path: Path, names: list[str], wanted: str) -> str:
    if len(names) == 1:
        return names[0]
    if wanted not in names:
        raise UserError(f"{path}: holds {', '.join(names)}: name the one to read {wanted!r}")
    return wanted


_OPENERS: dict[str, Callable[[Path, str], Opened]] = {
    ".npy": _open_npy,
    ".npz": _open_npz,
    ".parquet": _open_parquet,
    ".pt": _open_pt,
}
_DAMAGED = (
    OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error,
    pickle.UnpicklingError,
)  # fmt: skip
_FORTRAN = "saved in Fortran order; save np.ascontiguousarray(tokens)"
