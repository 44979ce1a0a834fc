"""One array of a file, read in pieces of bounded memory, whatever wrote the file."""

from __future__ import annotations

import math
import pickle
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from collapsebench import metrics
from collapsebench.datasets import expanded
from collapsebench.settings import UserError, did_you_mean, few

MOST_EXPANDED = 1000  # times its size: more than deflate makes of anything but one repeated value
_LARGE = 2**30  # bytes; what is smaller may be as repetitive as it likes
Pieces = Callable[[int], Iterator[NDArray[Any]]]


class Opened(NamedTuple):
    """An array that was not read yet; ``pieces(n)`` are its values in order, n at a time."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    pieces: Pieces


def open_array(path: Path, name: str) -> Opened:
    """Opens a file that holds one array, or one of this name among others.

    Nothing is unpickled but by ``torch.load(weights_only=True)``. A folder is one of parquet parts.

    Raises:
        UserError: no such file, an unknown or damaged format, or no array of this name.
    """
    path = expanded(path)
    suffix = ".parquet" if path.is_dir() else path.suffix.lower()
    if suffix not in _OPENERS:
        raise UserError(f"{path}: unknown format{did_you_mean(path.suffix, _OPENERS)}")
    if not path.is_file() and not path.is_dir():
        raise UserError(f"{path}: {'no regular file' if path.exists() else 'no such file'}")
    with _readable(path, suffix):
        opened = _OPENERS[suffix](path, name)

    def guarded(n: int) -> Iterator[NDArray[Any]]:
        with _readable(path, suffix):
            yield from opened.pieces(n)

    return opened._replace(pieces=guarded)


def in_memory(array: NDArray[Any]) -> Opened:
    """An array that was read already."""
    flat = np.ascontiguousarray(array).reshape(-1)
    return Opened(
        array.shape, array.dtype, lambda n: (flat[i : i + n] for i in range(0, flat.size, n))
    )


def whole(opened: Opened) -> NDArray[Any]:
    """All of an array in memory.

    Raises:
        UserError: it needs more than there is.
    """
    needed, free = (
        math.prod(opened.shape) * opened.dtype.itemsize,
        psutil.virtual_memory().available,
    )
    if needed > free:
        raise UserError(f"{opened.shape} takes {needed / 1e9:.0f} GB, of {free / 1e9:.0f} GB free")
    return np.concatenate(list(opened.pieces(math.prod(opened.shape)))).reshape(opened.shape)


def mapped(path: Path, name: str, spool: IO[bytes]) -> NDArray[Any]:
    """All of an array as a memory map: of its own file, or of ``spool``, where it is written then.

    Raises:
        UserError: as ``open_array``.
    """
    opened = open_array(path, name)
    if path.suffix.lower() == ".npy":
        return np.load(path, mmap_mode="r", allow_pickle=False)
    for piece in opened.pieces(_SPOOLED):
        spool.write(np.ascontiguousarray(piece, opened.dtype).data)
    spool.flush()
    return np.memmap(spool, opened.dtype, "r", shape=opened.shape)


@contextmanager
def _readable(path: Path, suffix: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGED as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UserError(f"{path}: cannot be read as {suffix} ({reason})") from None


def _open_npy(path: Path, name: str) -> Opened:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if not array.flags.c_contiguous:
        raise UserError(f"{path}: {_FORTRAN}")

    def pieces(n: int) -> Iterator[NDArray[Any]]:
        for start in range(0, array.size, n):  # a map of its own each: the last one's pages go
            offset = array.offset + start * array.itemsize
            yield np.memmap(path, array.dtype, "r", offset, min(n, array.size - start))

    return Opened(array.shape, array.dtype, pieces)


def _open_npz(path: Path, name: str) -> Opened:
    with zipfile.ZipFile(path) as archive:
        members = [member for member in archive.namelist() if member.endswith(".npy")]
        member = f"{_choose(path, [m.removesuffix('.npy') for m in members], name)}.npy"
        packed = archive.getinfo(member)
        _refuse_bomb(path, packed.compress_size, packed.file_size)
        with archive.open(member) as stream:
            shape, dtype = _npy_header(path, stream)
            promised = stream.tell() + math.prod(shape) * dtype.itemsize
        if (held := packed.file_size) != promised:
            raise UserError(f"{path}: {member} has {held} bytes, its header says {promised}")

    def pieces(n: int) -> Iterator[NDArray[Any]]:
        with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
            _npy_header(path, stream)
            while data := stream.read(n * dtype.itemsize):
                yield np.frombuffer(data, dtype)

    return Opened(shape, dtype, pieces)


def _refuse_bomb(path: Path, packed: int, unpacked: int) -> None:
    """Raises ``UserError`` for a few bytes that say they are very many."""
    if unpacked > _LARGE and unpacked > MOST_EXPANDED * packed:
        raise UserError(
            f"{path}: {packed:,} bytes that unpack to {unpacked:,} are refused; if they are meant, "
            "save them uncompressed"
        )


def _npy_header(path: Path, stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    else:
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(stream)
    if dtype.hasobject:
        raise UserError(f"{path}: holds Python objects, not an array of numbers")
    if fortran and len(shape) > 1:
        raise UserError(f"{path}: {_FORTRAN}")
    return shape, dtype


def _open_parquet(path: Path, name: str) -> Opened:
    """A file, or all parts below a folder in order of name; what a writer hides is no part."""
    parts = [path]
    if path.is_dir():
        inner = [part.relative_to(path) for part in path.rglob("*.parquet") if part.is_file()]
        shown = [part for part in inner if not any(p[0] in "._" for p in part.parts)]
        parts = [path / part for part in sorted(shown)]
    heads = [head for part in parts if (head := _parquet_head(part, name))]
    if not heads:
        raise UserError(f"{path}: no {name} ({'empty' if parts else 'no .parquet file in it'})")
    axes = heads[0].axes
    if odd := [head.path for head in heads if head.axes != axes]:
        raise UserError(f"{odd[0]}: {_UNEQUAL}")

    def batches(n: int) -> Iterator[NDArray[Any]]:
        for head in heads:
            with pq.ParquetFile(head.path, memory_map=True) as file:
                rows = max(1, n // math.prod(axes))
                for batch in file.iter_batches(rows, columns=[head.column]):
                    yield _flat(head.path, batch.column(0), axes)[1]

    shape = (sum(head.rows for head in heads), *axes)
    types = [head.dtype for head in heads]
    dtype = next((one for one in types if not np.issubdtype(one, np.integer)), types[0])
    return Opened(shape, dtype, lambda n: _regrouped(batches(n), n))


class _Head(NamedTuple):
    """What the first row of a parquet file says of all; ``axes`` are the lengths of its lists."""

    path: Path
    column: str
    rows: int
    axes: tuple[int, ...]
    dtype: np.dtype[Any]


def _parquet_head(path: Path, name: str) -> _Head | None:
    """None for a file without rows."""
    with pq.ParquetFile(path, memory_map=True) as file:
        column = _choose(path, file.schema_arrow.names, name)
        if file.metadata.num_rows == 0:
            return None
        groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
        chunks = [group.column(i) for group in groups for i in range(group.num_columns)]
        own = [chunk for chunk in chunks if chunk.path_in_schema.partition(".")[0] == column]
        said = sum(max(c.total_uncompressed_size, 8 * c.num_values) for c in own)  # in memory
        _refuse_bomb(path, sum(c.total_compressed_size for c in own), said)
        axes, values = _flat(path, next(file.iter_batches(1, columns=[column])).column(0), None)
        return _Head(path, column, file.metadata.num_rows, axes, values.dtype)


def _flat(
    path: Path, values: pa.Array, axes: tuple[int, ...] | None
) -> tuple[tuple[int, ...], NDArray[Any]]:
    """The lengths of the nested lists in a column, and what they hold; ``axes`` if known."""
    found: list[int] = []
    while True:
        if values.null_count:
            raise UserError(f"{path}: {values.null_count} empty values (nulls)")
        if not pa.types.is_nested(values.type):
            return tuple(found), values.to_numpy(zero_copy_only=False)
        lengths = pc.unique(pc.list_value_length(values)).to_pylist()
        if len(lengths) != 1 or (axes is not None and lengths[0] != axes[len(found)]):
            raise UserError(f"{path}: {_UNEQUAL}")
        found.append(lengths[0])
        values = values.flatten()


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

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a sparse tensor takes long to read
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    if isinstance(loaded, dict):
        loaded = loaded[_choose(path, list(loaded), name)]
    if not isinstance(loaded, torch.Tensor):
        raise UserError(f"{path}: holds a {type(loaded).__name__}, not a tensor")
    return in_memory(metrics.to_array(loaded))


def _open_safetensors(path: Path, name: str) -> Opened:
    with safe_open(path, "np") as file:
        member = _choose(path, list(file.keys()), name)
        part = file.get_slice(member)
        shape, kind = tuple(part.get_shape()), part.get_dtype()
    framework = "np" if kind in _IN_NUMPY else "pt"

    def slices(rows: int) -> Iterator[NDArray[Any]]:
        with safe_open(path, framework) as file:
            part = file.get_slice(member)
            for start in range(0, shape[0], rows):
                yield metrics.to_array(part[start : min(start + rows, shape[0])]).reshape(-1)

    def pieces(n: int) -> Iterator[NDArray[Any]]:
        return _regrouped(slices(max(1, n // math.prod(shape[1:]))), n)

    dtype = next(slices(1)).dtype if shape and 0 not in shape else np.dtype(np.int64)
    return Opened(shape, dtype, pieces)


def _choose(path: Path, names: Iterable[Any], wanted: str) -> Any:
    names = list(names)
    if len(names) == 1:
        return names[0]
    if wanted not in names:
        held = few(map(str, names)) or "nothing"
        raise UserError(f"{path}: holds {held}: name the one to read {wanted!r}")
    return wanted


_OPENERS: dict[str, Callable[[Path, str], Opened]] = {
    ".npy": _open_npy,
    ".npz": _open_npz,
    ".parquet": _open_parquet,
    ".pt": _open_pt,
    ".safetensors": _open_safetensors,
}
_SPOOLED = 2**20  # numbers copied in one go
_DAMAGED = (
    OSError, ValueError, TypeError, OverflowError, MemoryError, EOFError, RuntimeError,
    zipfile.BadZipFile, zlib.error, pickle.UnpicklingError, SafetensorError,
)  # fmt: skip
_IN_NUMPY = ("BOOL", "I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64", "F16", "F32", "F64")
_FORTRAN = "saved in Fortran order; save np.ascontiguousarray of it"
_UNEQUAL = "rows of unequal lengths; save rows of one length, or one flat column"
