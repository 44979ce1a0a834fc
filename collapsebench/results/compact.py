"""Many small row files -> a few large ones that hold the same rows.

A large file is written beside the small ones and compared with them before any of them goes: until
then rows are there twice, and the reader counts equal rows once. So a kill at any moment loses
nothing, and what is half done is done again by the next call.
"""

from __future__ import annotations

import errno
import itertools
import os
import uuid
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from collapsebench.results import claims, disk, rowfiles, tables
from collapsebench.results.folder import job_folder
from collapsebench.settings import UserError

MOST_FILES = 2_000  # small ones that are merged into one: so many are held in memory

Signature = tuple[int, int, int]  # inode, size, time


def compact(results: Path) -> str:
    """Merges the row files of jobs that nobody works on; says how many became how many.

    Files that cannot be read stay as they are.

    Raises:
        UserError: no results folder, or one without rows.
        OSError: a full disk or an unwritable folder; all rows are there.
    """
    folders = [results / table for table in tables.SCHEMAS if (results / table).is_dir()]
    if not folders:
        raise UserError(f"no rows in {results}")
    small = {folder: _small(results, folder) for folder in folders}
    merged = large = 0
    for folder, paths in small.items():
        for start in range(0, len(paths), MOST_FILES):
            count = _merge(folder, paths[start : start + MOST_FILES])
            merged, large = merged + count, large + (count > 0)
    return f"{merged:,} row files became {large:,}"


def _small(results: Path, folder: Path) -> list[Path]:
    """Files of one job and stage, of jobs that nobody works on."""
    names = sorted(name for name in os.listdir(folder) if name.endswith(tables.SUFFIX))
    found = []
    for job_id, own in itertools.groupby(names, lambda name: name.partition(".")[0]):
        paths = [folder / name for name in own]
        if tables.of_one_job(paths[0]) and not claims.held(job_folder(results, job_id)):
            found += paths
    return found


def _merge(folder: Path, paths: Sequence[Path]) -> int:
    """Writes one file for many and removes them; returns their number, 0 if there are not two.

    A file without rows stays: nothing in the merged one would say that its stage has none.
    """
    schema = tables.SCHEMAS[folder.name]
    parts: dict[Path, pa.Table] = {}
    read: dict[Path, Signature] = {}
    for path in paths:
        before = _signature(path)
        part = rowfiles.load(path, schema, tables.SCHEMA_VERSION, tables.DEFAULTS)
        if before is not None and not isinstance(part, str) and part.num_rows:
            parts[path], read[path] = part, before
    if len(parts) < 2:
        return 0
    whole = pa.concat_tables(parts.values()).combine_chunks()

    def check(written: Path) -> None:
        back = rowfiles.load(written, schema, tables.SCHEMA_VERSION, tables.DEFAULTS)
        if isinstance(back, str) or not same(back, whole):
            raise OSError(errno.EIO, "what was written does not read back", str(written))

    target = folder / f"{tables.COMPACTED}{uuid.uuid4().hex}{tables.SUFFIX}"
    disk.replace_atomically(
        target, lambda path: pq.write_table(whole, path, write_page_checksum=True), check
    )
    _sync(folder)  # the new name before the old ones go
    for path, before in read.items():
        if _signature(path) == before:  # not one that was written anew in the meantime
            path.unlink(missing_ok=True)
    return len(parts)


def _signature(path: Path) -> Signature | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def same(a: pa.Table, b: pa.Table) -> bool:
    """Whether two tables hold the same values in the same order; nan is nan."""
    return a.schema.equals(b.schema) and all(map(_same, a.columns, b.columns))


def _same(a: pa.ChunkedArray, b: pa.ChunkedArray) -> bool:
    if not pa.types.is_floating(a.type):
        return bool(a.equals(b))
    nan, other = pc.is_nan(a), pc.is_nan(b)
    numbers = (pc.if_else(mask, 0.0, column) for mask, column in ((nan, a), (other, b)))
    first, second = numbers
    return bool(nan.equals(other) and first.equals(second))
