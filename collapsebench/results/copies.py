"""A job's own copy of its rows, ``jobs/<job_id>/rows``, laid out like ``results/``.

A finished stage writes its rows here first, then into the tables. What the tables lack of them
later, a file that was lost or damaged on the way, is written again from here: nothing is measured
twice for it.
"""

from __future__ import annotations

import filecmp
import functools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from collapsebench.results import disk, tables
from collapsebench.results.folder import ROWS, set_aside
from collapsebench.results.tables import Compacted

ORDER = ("curves", "codes", "protocols", "metrics", "runs")  # the row in `runs` is the commit

Copy = tuple[str, str]  # table, file name


def copies(folder: Path) -> Iterator[Copy]:
    """The copies in a job's folder, those of ``runs`` last."""
    for table in ORDER:
        try:
            names = sorted(os.listdir(f"{folder}/{ROWS}/{table}"))
        except OSError:  # the job has no such rows
            continue
        yield from ((table, name) for name in names if name.endswith(tables.SUFFIX))


def stands(results: Path, folder: Path, copy: Copy, compacted: Compacted) -> bool:
    """Whether a table has the rows of a copy: the same file, or another that can be read.

    A file that is not there may have been compacted with others. Two files of one size and time
    are the same, so that ten thousand jobs are looked through in seconds.
    """
    table, name = copy
    own, there = f"{folder}/{ROWS}/{table}/{name}", f"{results}/{table}/{name}"
    try:
        if filecmp.cmp(own, there):
            return True
    except OSError:
        job_id, _, stage_id = (*name.split("."), "", "")[:3]
        return (job_id, stage_id) in compacted[table]
    found = tables.stages(Path(there))
    return found is not None and tables.stages(Path(own)) in (None, found)


def keep(results: Path, folder: Path, copy: Copy) -> bool:
    """Takes a copy of a row file that a table has and that can be read; False if it has none."""
    own, there = (root.joinpath(*copy) for root in (folder / ROWS, results))
    if not there.is_file() or tables.stages(there) is None:
        return False
    disk.replace_atomically(own, functools.partial(shutil.copy2, there), Path.stat)
    return True


def publish(results: Path, folder: Path) -> list[Path]:
    """Writes into the tables what they lack of a job's rows; returns the written files."""
    written, compacted = [], Compacted(results)
    for copy in copies(folder):
        own, there = (root.joinpath(*copy) for root in (folder / ROWS, results))
        if not stands(results, folder, copy, compacted) and tables.stages(own) is not None:
            if os.path.lexists(there) and not there.is_file():
                set_aside(there, "no file")
            disk.replace_atomically(there, functools.partial(shutil.copy2, own), Path.stat)
            written.append(there)
    return written
