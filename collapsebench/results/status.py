"""Where jobs stand; torch-free."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from collapsebench.results import claims, grids
from collapsebench.results.folder import begins_with, job_folder, last_said, progress
from collapsebench.results.runs import Standing, standing
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
    now = standing(results)
    records = [grids.read(results, name)] if name else grids.every(results)
    return [
        {"grid": record["name"], **job_status(results, job, now)}
        for record in records
        for job in record["jobs"]
    ]


def job_status(results: Path, job: dict[str, Any], now: Standing) -> dict[str, Any]:
    """How far one job is and what it last said, or that rows of it were lost."""
    folder = job_folder(results, job["job_id"])
    keys = [(job["job_id"], stage_id) for stage_id in job["stage_ids"].values()]
    ends = [now.finished.get(key) for key in keys]
    lost = sorted({table for key in keys for table in now.lost.get(key, ())})
    last: dict[str, str] = {}
    if claims.held(folder):
        state = "running"
    elif set(ends) == {"done"}:
        state = "done"
    else:
        missing = {"status": "interrupted", "message": f"rows missing in {', '.join(lost)}"}
        last = missing if lost else last_said(folder)
        otherwise = [end for end in ends if end not in (None, "done")]
        state = otherwise[0] if otherwise else last.get("status", "queued")
        state = "interrupted" if state == "done" else state
    names = ("job_id", "method", "label", "settings_label", "network", "dataset",
             "codebook_size", "code_dim", "seed")  # fmt: skip
    values = progress(folder).get("values", {}) if state == "running" else {}
    return {k: job[k] for k in names} | {
        "status": state,
        "stages_done": ends.count("done"),
        "stages": len(ends),
        "message": last.get("message", ""),
        "values": values,
    }


def find(results: Path, word: str) -> Path:
    """The folder of the one job whose id begins with a word; it may not have begun.

    Raises:
        UserError: no such job, or several.
    """
    listed = {job["job_id"] for record in grids.every(results) for job in record["jobs"]}
    names = {path.name for path in begins_with(results, word)} | listed
    found = sorted(job_folder(results, name) for name in names if name.startswith(word))
    if len(found) != 1:
        several = f" ({', '.join(path.name for path in found)})" if found else ""
        count = "more than one job begins" if found else "no job begins"
        raise UserError(f"{results}: {count} with {word!r}{several}")
    return found[0]
