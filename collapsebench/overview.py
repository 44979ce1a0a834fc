"""Where jobs stand, and rows to take away; torch-free."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from collapsebench import claims, store
from collapsebench.settings import UserError, did_you_mean


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
    known = sorted(p.stem for p in (results / "grids").glob("*.json"))
    if not known and name is None:
        raise UserError(f"nothing was run in {results}; start with: collapsebench run --grid demo")
    done = finished_files(results)
    rows = []
    for found in [name] if name else known:
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
    holder = claims.read(folder)
    last = _read(folder / "status.json")
    if holder is not None and claims.alive(holder):
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
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("grid", "job", "method", "dataset", "K×D", "seed", "status", "stages", ""):
        table.add_column(column)
    for row in rows:
        label = f"{row['label']} {row['settings_label']}".strip()
        size = f"{row['codebook_size']}×{row['code_dim']}"
        stages = f"{row['stages_done']}/{row['stages']}"
        table.add_row(row["grid"], row["job_id"][:8], label, row["dataset"], size,
                      str(row["seed"]), row["status"], stages, row["message"][:60])  # fmt: skip
    Console().print(table)


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
