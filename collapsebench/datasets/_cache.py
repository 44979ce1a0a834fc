"""Decoded items on disk: one ``.npy`` per split, built once, memory-mapped by every job.

Images are uint8 (N, side, side, 3), all else is float32 (N, ...).

An entry is a folder ``arrays/<dataset>-<key>`` with ``train.npy``, ``val.npy``, ``test.npy`` and
``entry.json``. It is built under a lock in a folder beside it and renamed when complete: of two
processes one builds, and what a killed one left is wiped by the next.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from filelock import FileLock

from collapsebench.results.disk import write_json
from collapsebench.settings import SPLITS, UserError, console

BLOCK = 1024  # items decoded between two writes: 48 MiB of images of 128 x 128

Size = int | tuple[int, ...]  # of an item: the side of a square image, or the shape of an array


class Indexed(Protocol):
    """What gives item ``i`` as it is stored: an array of them, or a decoder."""

    def __getitem__(self, index: int, /) -> Any:
        """One item; called by several threads."""


@dataclass(frozen=True)
class Source:
    """The items of a dataset before they are cached, and which of them each split holds.

    Attributes:
        images: every item of every split, decoded when asked for.
        splits: train, val, test -> int64 indices into ``images``.
        where: the file that item ``i`` comes from, for an error message.
        close: called once, after the last item.
        facts: what ``entry.json`` says of them besides.
    """

    images: Indexed
    splits: Mapping[str, np.ndarray]
    where: Callable[[int], str]
    close: Callable[[], None] = lambda: None
    facts: Mapping[str, Any] = field(default_factory=dict)


def platform_cache() -> Path:
    """The folder that the platform proposes for this program's caches."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "collapsebench"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "collapsebench"


def place(root: Path, name: str) -> Path:
    """Where ``name`` is kept: under the root, for all who share it, if it is there or may be."""
    shared = root.absolute() / "arrays" / name
    nearest = next(folder for folder in shared.parents if folder.exists())
    if shared.exists() or os.access(nearest, os.W_OK):
        return shared
    return platform_cache() / "arrays" / name


def build(folder: Path, size: Size, read: Callable[[], Source], facts: Mapping[str, Any]) -> None:
    """Decodes a source into ``folder``, unless another process has just done so.

    Args:
        folder: the entry's final place.
        size: that every item must have.
        read: opens the source; called only if the entry is absent.
        facts: what ``entry.json`` says besides the hashes.

    Raises:
        UserError: an item that cannot be decoded (named), or a folder that cannot be written.
    """
    building = folder.with_name(f".{folder.name}.building")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f".{folder.name}.lock")):  # free if its process ends
            if folder.is_dir():
                return
            shutil.rmtree(building, ignore_errors=True)
            building.mkdir()
            try:
                _write(building, size, read(), facts)
                os.replace(building, folder)
            finally:
                shutil.rmtree(building, ignore_errors=True)
    except OSError as error:
        raise UserError(f"cannot write decoded images to {folder}: {error}") from error


def load(folder: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The splits of an entry, mapped copy-on-write, and the content of its ``entry.json``.

    Raises:
        UserError: a file of the entry that is missing or torn, named.
    """
    path = folder / "entry.json"
    try:
        facts = json.loads(path.read_text())
        arrays = {}
        for split in SPLITS:
            path = folder / f"{split}.npy"
            arrays[split] = np.load(path, mmap_mode="c")
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path} is damaged ({error}); delete {folder} to decode again") from None
    return arrays, facts


def verify(folder: Path) -> None:
    """Compares every array of an entry with the hash written when it was built.

    Raises:
        UserError: a file that is missing, torn or changed, named.
    """
    _, facts = load(folder)
    for split in SPLITS:
        path = folder / f"{split}.npy"
        if _sha256(path) != facts["sha256"][split]:
            raise UserError(f"{path} has changed since it was written; delete {folder}")


def hashed(noted: Path, state: str, content: Callable[[], str]) -> str:
    """The content hash of files in this state, which is noted in a file and not made twice."""
    try:
        known = json.loads(noted.read_text())
        if known["state"] == state:
            return str(known["content_hash"])
    except (OSError, ValueError, LookupError, TypeError):  # not there, torn, or another's
        pass
    made = content()
    write_json(noted, {"state": state, "content_hash": made})
    return made


def _write(folder: Path, size: Size, source: Source, facts: Mapping[str, Any]) -> None:
    hashes = {}
    with (
        contextlib.closing(source),
        _progress(str(facts["dataset"]), sum(map(len, source.splits.values()))) as advance,
    ):
        for split in SPLITS:
            path = folder / f"{split}.npy"
            _write_split(path, size, source, source.splits[split], advance)
            hashes[split] = _sha256(path)
    entry = {**facts, **source.facts, "sha256": hashes, "split_hash": split_hash(source.splits)}
    (folder / "entry.json").write_text(json.dumps(entry, indent=1, sort_keys=True) + "\n")


def _write_split(
    path: Path, size: Size, source: Source, indices: np.ndarray, advance: Callable[[int], None]
) -> None:
    shape, dtype = _stored(size)
    header = {"descr": dtype.str, "fortran_order": False, "shape": (len(indices), *shape)}
    item = partial(_item, source, size)
    # Plain writes, not a memory map: on a full disk these raise, a map kills the process.
    with path.open("wb") as file, ThreadPoolExecutor(os.cpu_count()) as pool:
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, len(indices), BLOCK):
            block = indices[start : start + BLOCK].tolist()
            file.write(np.stack(list(pool.map(item, block))).tobytes())
            advance(len(block))
        file.flush()
        os.fsync(file.fileno())


def _stored(size: Size) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of an item."""
    if isinstance(size, int):
        return (size, size, 3), np.dtype(np.uint8)
    return size, np.dtype(np.float32)


def _item(source: Source, size: Size, index: int) -> np.ndarray:
    shape, dtype = _stored(size)
    try:
        item = np.asarray(source.images[index])
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises on a bad file
        raise UserError(f"cannot decode {source.where(index)}: {error}") from None
    if item.shape != shape or item.dtype != dtype:
        found = f"{item.dtype} {item.shape}"
        raise UserError(f"{source.where(index)} is {found}, not {dtype} {shape}")
    return item


@contextlib.contextmanager
def _progress(name: str, total: int) -> Iterator[Callable[[int], None]]:
    from rich.progress import Progress

    with Progress(console=console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(f"decoding {name}", total=total)
        yield lambda count: progress.advance(task, count)


def split_hash(splits: Mapping[str, np.ndarray]) -> str:
    """16 hex digits that say which item is in which split, in which order."""
    text = b"".join(np.asarray(splits[name], dtype="<i8").tobytes() + b"|" for name in SPLITS)
    return hashlib.sha256(text).hexdigest()[:16]


def _sha256(path: Path) -> str:
    """Of the values in a ``.npy`` file, which are read and not mapped: no page of it stays."""
    with path.open("rb") as file:
        file.seek(np.load(path, mmap_mode="r").offset)
        return hashlib.file_digest(file, "sha256").hexdigest()
