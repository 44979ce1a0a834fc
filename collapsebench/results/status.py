"""Where jobs stand; torch-free."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from collapsebench.results import claims, grids, tables
from collapsebench.results.folder import begins_with, job_folder, last_said, progress
from collapsebench.settings import UserError


def status(results: Path, name: str | None) -> list[dict[str, Any]]:
    """One row per job of a grid, or of every grid found.

    Raises:
        UserError: no such grid was run here, its record is damaged, or none at all was run.

    Warns:
        UserWarning: for each grid whose record is damaged, where all are asked for.
    """
    if not grids.names(results) and name is None:
        raise UserError(f"nothing was run in {results}; start with: collapsebench run --grid demo")
    done = finished_files(results)
    records = [grids.read(results, name)] if name else grids.every(results)
    return [
        {"grid": record["name"], **job_status(results, job, done)}
        for record in records
        for job in record["jobs"]
    ]


def finished_files(results: Path) -> dict[str, str]:
    """stage_id -> final status, from the names of the files in ``runs``."""
    parts = [path.name.split(".") for path in (results / "runs").glob("*.parquet")]
    return {p[2]: p[3] for p in parts if len(p) == 5 and p[3] in tables.FINAL}


def job_status(results: Path, job: dict[str, Any], done: dict[str, str]) -> dict[str, Any]:
    """How far one job is and what it last said."""
    folder = job_folder(results, job["job_id"])
    stages = [s for s, stage_id in job["stage_ids"].items() if done.get(stage_id) == "done"]
    last = last_said(folder)
    if claims.held(folder):
        state = "running"
    elif len(stages) == len(job["stage_ids"]):
        state = "done"
    else:
        state = last.get("status", "queued")
        state = "interrupted" if state == "done" and stages else state
    names = ("job_id", "method", "label", "settings_label", "network", "dataset",
             "codebook_size", "code_dim", "seed")  # fmt: skip
    values = progress(folder).get("values", {}) if state == "running" else {}
    return {k: job[k] for k in names} | {
        "status": state,
        "stages_done": len(stages),
        "stages": len(job["stage_ids"]),
        "message": last.get("message", "") if state not in ("running", "done") else "",
        "values": values,
    }


def find(results: Path, word: str) -> Path:
    """The folder of the one job whose id begins with a word.

    Raises:
        UserError: no such job, or several.
    """
    found = begins_with(results, word)
    if len(found) != 1:
        several = f" ({', '.join(path.name for path in found)})" if found else ""
        count = "more than one job begins" if found else "no job begins"
        raise UserError(f"{results}: {count} with {word!r}{several}")
    return found[0]
