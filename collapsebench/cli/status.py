"""Where jobs stand and what they said, for a person; rows to take away."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from collapsebench.quantities import live
from collapsebench.results import claims, disk, tables
from collapsebench.results.folder import LOG
from collapsebench.results.status import find, status
from collapsebench.settings import UserError, console, did_you_mean, printable, regular

WATCH_S = 1.0
MOST_ROWS = 200  # of a printed table
COLUMNS = ("grid", "job", "method", "dataset", "K×D", "seed", "status", "stages")


def print_status(rows: list[dict[str, Any]]) -> None:
    """Prints job rows for a person, how many stand how, and what to do next.

    Of more than ``MOST_ROWS`` those that are done come last, and the rest is counted.
    """
    shown = sorted(rows, key=lambda row: row["status"] == "done") if len(rows) > MOST_ROWS else rows
    console().print(table(shown[:MOST_ROWS]))
    if left := len(shown[MOST_ROWS:]):
        print(f"and {left:,} more: collapsebench status --json lists all")
    print(f"\n{totals(rows)}\nnext: {next_step(rows)}")


def table(rows: list[dict[str, Any]]) -> Table:
    """Job rows as a table, the grid's name only where there are several; last words are cut."""
    grids = {row["grid"] for row in rows}
    shown = Table(box=None, pad_edge=False)
    labels = [f"{row['label']} {row['settings_label']}".strip() for row in rows]
    longest = max((len(word) for label in labels for word in label.split()), default=0)
    for column in COLUMNS[len(grids) < 2 :]:
        if column == "method":
            shown.add_column(column, min_width=longest)  # wraps between words
        else:
            shown.add_column(column, no_wrap=True)
    shown.add_column()
    for row, label in zip(rows, labels, strict=True):
        size = f"{row['codebook_size']}×{row['code_dim']}"
        stages = f"{row['stages_done']}/{row['stages']}"
        cells = [row["grid"], row["job_id"][:8], label, row["dataset"], size,
                 str(row["seed"]), row["status"], stages,
                 Text(said(row), no_wrap=True, overflow="ellipsis")]  # fmt: skip
        shown.add_row(*cells[len(grids) < 2 :])
    return shown


def totals(rows: list[dict[str, Any]]) -> str:
    """``6 jobs: 4 done, 1 error, 1 queued``; a job of two grids counts once."""
    states = {row["job_id"]: row["status"].replace("_", " ") for row in rows}
    counts = ", ".join(
        f"{count} {state}" for state, count in Counter(states.values()).most_common()
    )
    return f"{len(states)} job{'s' * (len(states) != 1)}: {counts}"


def next_step(rows: list[dict[str, Any]]) -> str:
    """The command that one would type now."""
    states = {row["status"] for row in rows}
    if "running" in states:
        return "collapsebench status --watch"
    if failed := [row for row in rows if row["status"] in tables.FAILED]:
        return f"collapsebench logs {failed[0]['job_id'][:8]}, then collapsebench retry --failed"
    if states <= set(tables.FINAL):
        return "collapsebench report"
    return "the same collapsebench run again; it goes on where it stopped"


def said(row: dict[str, Any]) -> str:
    """A job's last words: its numbers while it runs, else why it ended."""
    return live(row["values"]) or row["message"][:60]


def watch(results: Path, name: str | None) -> None:
    """Shows the table until nothing runs; without a terminal, a line per change.

    Raises:
        UserError: no such grid was run here, or none at all.
    """
    from rich.live import Live

    screen, seen = console(), dict[str, str]()
    with Live(console=screen, auto_refresh=False) if screen.is_terminal else nullcontext() as live:
        while True:
            rows = status(results, name)
            if live is not None:
                live.update(table(rows), refresh=True)
            for row in rows if live is None else ():
                line = f"{row['status']} {row['stages_done']}/{row['stages']} {row['message']}"
                if seen.get(row["job_id"]) != line:
                    seen[row["job_id"]] = line
                    print(f"{row['job_id']} {row['label']} seed {row['seed']}: {line}", flush=True)
            if not any(row["status"] == "running" for row in rows):
                return
            time.sleep(WATCH_S)


def print_log(results: Path, word: str, follow: bool) -> None:
    """Prints a job's log; with ``follow``, on and on while somebody works on it.

    What is no text, like the colours of a user's own method, is printed escaped.

    Raises:
        UserError: no such job, or it was never started.
    """
    folder = find(results, word)
    try:
        log = regular(folder / LOG).open(errors="replace")
    except FileNotFoundError:
        raise UserError(f"job {folder.name} was not started yet") from None
    with log:
        while True:
            running = claims.held(folder)
            lines = log.read().expandtabs().split("\n")
            print(*map(printable, lines), sep="\n", end="", flush=True)
            if not (follow and running):
                return
            time.sleep(WATCH_S)


def export(results: Path, table: str, out: Path) -> int:
    """Writes all rows of a table as .csv, .parquet or .json; returns their number.

    Raises:
        UserError: unknown table or file type, or no rows.
    """
    if table not in tables.SCHEMAS:
        raise UserError(f"unknown table {table!r}{did_you_mean(table, tables.SCHEMAS)}")
    if out.suffix not in (".csv", ".parquet", ".json"):
        raise UserError(f"{out}: the file must end in .csv, .parquet or .json")
    frame = tables.read(results, table)
    if frame.empty:
        raise UserError(f"no rows in {results / table}")
    writers = {
        ".csv": lambda p: frame.to_csv(p, index=False),
        ".parquet": lambda p: frame.to_parquet(p, index=False),
        ".json": lambda p: frame.to_json(p, orient="records", date_format="iso"),
    }
    disk.replace_atomically(out, writers[out.suffix], Path.stat)
    return len(frame)
