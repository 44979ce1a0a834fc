"""Where jobs stand, and rows to take away; torch-free."""

from __future__ import annotations

import json
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from rich.table import Table

from collapsebench import claims, store
from collapsebench.settings import UserError, did_you_mean

WATCH_S = 1.0
SHOWN = ("mse", "perplexity", "usage", "prior_held_out")


def grids(results: Path) -> list[str]:
    """Names of the grids that were run.

    Raises:
        UserError: none was.
    """
    known = sorted(p.stem for p in (results / "grids").glob("*.json"))
    if not known:
        raise UserError(f"nothing was run in {results}; start with: collapsebench run --grid demo")
    return known


def load_grid(results: Path, name: str) -> dict[str, Any]:
    """What ``run`` wrote down of a grid.

    Raises:
        UserError: no such grid was run here.
    """
    path = results / "grids" / f"{name}.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = [p.stem for p in (results / "grids").glob("*.json")]
        raise UserError(
            f"grid {name!r} was not run in {results}{did_you_mean(name, known)}"
        ) from None
    return found


def status(results: Path, name: str | None) -> list[dict[str, Any]]:
    """One row per job of a grid, or of every grid found.

    Raises:
        UserError: no such grid was run here, or none at all.
    """
    done = finished_files(results)
    rows = []
    for found in [name] if name else grids(results):
        for job in load_grid(results, found)["jobs"]:
            rows.append({"grid": found, **job_status(results, job, done)})
    return rows


def finished_files(results: Path) -> dict[str, str]:
    """stage_id -> final status, from the names of the files in ``runs``."""
    parts = [path.name.split(".") for path in (results / "runs").glob("*.parquet")]
    return {p[2]: p[3] for p in parts if len(p) == 5 and p[3] in store.FINAL}


def job_status(results: Path, job: dict[str, Any], done: dict[str, str]) -> dict[str, Any]:
    """How far one job is and what it last said."""
    folder = results / "jobs" / job["job_id"]
    stages = [s for s, stage_id in job["stage_ids"].items() if done.get(stage_id) == "done"]
    last = _read(folder / "status.json")
    if claims.held(folder):
        state = "running"
    elif len(stages) == len(job["stage_ids"]):
        state = "done"
    else:
        state = last.get("status", "queued")
        state = "interrupted" if state == "done" and stages else state
    names = ("job_id", "method", "label", "settings_label", "network", "dataset",
             "codebook_size", "code_dim", "seed")  # fmt: skip
    values = _read(folder / "progress.json").get("values", {}) if state == "running" else {}
    return {k: job[k] for k in names} | {
        "status": state,
        "stages_done": len(stages),
        "stages": len(job["stage_ids"]),
        "message": last.get("message", "") if state not in ("running", "done") else "",
        "values": values,
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found


def print_status(rows: list[dict[str, Any]]) -> None:
    """Prints job rows for a person."""
    from rich.console import Console

    Console().print(table(rows))


def table(rows: list[dict[str, Any]]) -> Table:
    """Job rows as a table."""
    found = Table(box=None, pad_edge=False)
    for column in ("grid", "job", "method", "dataset", "K×D", "seed", "status", "stages", ""):
        found.add_column(column)
    for row in rows:
        label = f"{row['label']} {row['settings_label']}".strip()
        size = f"{row['codebook_size']}×{row['code_dim']}"
        stages = f"{row['stages_done']}/{row['stages']}"
        found.add_row(row["grid"], row["job_id"][:8], label, row["dataset"], size,
                      str(row["seed"]), row["status"], stages, said(row))  # fmt: skip
    return found


def said(row: dict[str, Any]) -> str:
    """A job's last words: its numbers while it runs, else why it ended."""
    numbers = (f"{k} {v:.4g}" for k, v in row["values"].items() if k in SHOWN)
    return " ".join(numbers) or row["message"][:60]


def watch(results: Path, name: str | None) -> None:
    """Shows the table until nothing runs; without a terminal, a line per change.

    Raises:
        UserError: no such grid was run here, or none at all.
    """
    from rich.console import Console
    from rich.live import Live

    console, seen = Console(), dict[str, str]()
    with (
        Live(console=console, auto_refresh=False) if console.is_terminal else nullcontext() as live
    ):
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


def find(results: Path, word: str) -> Path:
    """The folder of the one job whose id begins with a word.

    Raises:
        UserError: no such job, or several.
    """
    found = [path.parent for path in (results / "jobs").glob(f"{word}*/job.json")]
    if len(found) != 1:
        several = f" ({', '.join(sorted(path.name for path in found))})" if found else ""
        count = "more than one job begins" if found else "no job begins"
        raise UserError(f"{results}: {count} with {word!r}{several}")
    return found[0]


def print_log(results: Path, word: str, follow: bool) -> None:
    """Prints a job's log; with ``follow``, on and on while somebody works on it.

    Raises:
        UserError: no such job, or it was never started.
    """
    folder = find(results, word)
    try:
        log = (folder / "log.txt").open(errors="replace")
    except FileNotFoundError:
        raise UserError(f"job {folder.name} was not started yet") from None
    with log:
        while True:
            running = claims.held(folder)
            print(log.read(), end="", flush=True)
            if not (follow and running):
                return
            time.sleep(WATCH_S)


def export(results: Path, table: str, out: Path) -> int:
    """Writes all rows of a table as .csv, .parquet or .json; returns their number.

    Raises:
        UserError: unknown table or file type, or no rows.
    """
    if table not in store.SCHEMAS:
        raise UserError(f"unknown table {table!r}{did_you_mean(table, store.SCHEMAS)}")
    if out.suffix not in (".csv", ".parquet", ".json"):
        raise UserError(f"{out}: the file must end in .csv, .parquet or .json")
    frame = store.read(results, table)
    if frame.empty:
        raise UserError(f"no rows in {results / table}")
    writers = {
        ".csv": lambda p: frame.to_csv(p, index=False),
        ".parquet": lambda p: frame.to_parquet(p, index=False),
        ".json": lambda p: frame.to_json(p, orient="records", date_format="iso"),
    }
    store.replace_atomically(out, writers[out.suffix], Path.stat)
    return len(frame)
