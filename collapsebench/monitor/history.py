"""The file of a monitor: one row per codebook and window, atomically replaced at each one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from collapsebench.monitor.causes import Evidence
from collapsebench.results.disk import replace_atomically
from collapsebench.settings import UserError

MARK = b"collapsebench_history"  # key in the file's metadata; its value is the version
VERSION = b"1"
WINDOWS = 512  # kept; of more, every other one of the older goes
VALUES = (
    "perplexity", "relative_perplexity", "usage", "dead_codes", "collapsed", "unigram_entropy",
    "entropy_chao_shen",
    "bit_entropy", "bit_entropy_min", "bit_correlation", "perplexity_bound", "coverage",
)  # fmt: skip
LISTS = ("counts", "window_counts")  # (K,) each, of the last window's rows alone

MOST = 2**53  # tokens or updates: a number that is whole in any program
_WHOLE = ("codebook_size", "tokens", "updates")  # the last says when the window ended
SCHEMA = pa.schema(
    [
        ("codebook", pa.int64()),
        ("total_tokens", pa.int64()),  # since the last reset, as are the values
        *((name, pa.float64()) for name in VALUES),
        *((f"window_{name}", pa.float64()) for name in VALUES),
        *(
            (f.name, pa.int64() if f.name in _WHOLE else pa.string() if f.name == "verdict"
             else pa.float64())
            for f in fields(Evidence)
        ),
        ("effective_rank", pa.float64()),
        *((name, pa.list_(pa.int64())) for name in LISTS),
    ],
    metadata={MARK: VERSION},
)  # fmt: skip

HistoryRow = Mapping[str, Any]


def is_history(path: Path) -> bool:
    """Whether a file is one that a monitor wrote."""
    try:
        schema = pq.read_schema(path) if path.is_file() else pa.schema([])
        named = (schema.metadata or {}).get(MARK) == VERSION
        return named and {*SCHEMA.names} <= {*schema.names}
    except (OSError, pa.ArrowException):
        return False


def read(path: Path) -> list[dict[str, Any]]:
    """The rows, oldest first.

    Raises:
        UserError: no such file, or no history.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    if not is_history(path):
        raise UserError(
            f"{path}: no history of a CodebookMonitor(out=...); tokens are for: "
            "collapsebench inspect"
        )
    try:
        table = pq.read_table(path, columns=SCHEMA.names).cast(SCHEMA)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: cannot be read: {str(error).partition(chr(10))[0]}") from None
    rows: list[dict[str, Any]] = table.to_pylist()
    for row in rows:
        _check(row, path)
    return rows


def _check(row: HistoryRow, path: Path) -> None:
    """Refuses a window that no monitor wrote."""
    for name in ("tokens", "updates"):
        if row[name] is None or not 0 <= row[name] <= MOST:
            raise UserError(f"{path}: no window has {row[name]} {name}")
    if row["codebook_size"] is None or row["codebook_size"] < 1:
        raise UserError(f"{path}: no window has a codebook of {row['codebook_size']} codes")
    if row["window_perplexity"] is not None and not (row["tokens"] and row["window_usage"]):
        raise UserError(f"{path}: a window with a perplexity and without tokens or usage")


class History:
    """A history in a file and in memory, at most about ``WINDOWS`` windows long."""

    def __init__(self, path: Path):
        """Opens no file yet.

        Raises:
            UserError: a name that does not end in .parquet, or a file that no monitor wrote.
        """
        if path.suffix != ".parquet":
            raise UserError(f"{path}: a history ends in .parquet")
        if path.exists() and not is_history(path):
            raise UserError(f"{path}: is there, and no history; it is not written over")
        self.path = path
        self.windows: list[list[HistoryRow]] = []

    def resume(self, updates: int) -> None:
        """Goes on with the windows of the file up to a number of updates."""
        rows = read(self.path) if self.path.exists() else []
        kept = [row for row in rows if row["updates"] <= updates]
        times = dict.fromkeys(row["updates"] for row in kept)
        self.windows = [[row for row in kept if row["updates"] == time] for time in times]

    def add(self, rows: Sequence[HistoryRow]) -> None:
        """Writes a window's rows, one per codebook, behind the others."""
        older = [[_without_lists(row) for row in window] for window in self.windows]
        if len(older) >= WINDOWS:
            older = older[1::2]
        self.windows = [*older, list(rows)]
        table = pa.Table.from_pylist([row for window in self.windows for row in window], SCHEMA)
        replace_atomically(self.path, lambda p: pq.write_table(table, p), pq.read_metadata)


def _without_lists(row: HistoryRow) -> HistoryRow:
    return {name: value for name, value in row.items() if name not in LISTS}
