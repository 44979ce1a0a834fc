"""How a job ended: from exit codes, from what it said of itself, and what it could not say."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from collapsebench import provenance, store
from collapsebench.launch.tasks import Task
from collapsebench.launch.work import EXIT_CODES


def status_of(code: int, folder: Path) -> str | None:
    """The status behind a job process's exit code; None if it broke down without one."""
    if code == 0:
        said = last_said(folder).get("status")
        return said if said in store.FINAL else "done"
    known = {value: status for status, value in EXIT_CODES.items() if value}
    return known.get(code)


def record(results: Path, task: Task, status: str, message: str, launcher: str) -> None:
    """Writes the row of a task whose own process could not; on a full disk, only says so."""
    job, stage = task.job, task.stages[0]
    name = f"{job.job_id}.{stage}.{job.stage_ids[stage]}.{status}-{os.urandom(8).hex()}"
    row: dict[str, Any] = job.key(stage) | provenance.facts()
    row |= {"status": status, "message": message, "launcher": launcher}
    said = {"stage": stage, "status": status, "message": message}
    try:
        store.write(results, "runs", name, [row])
        store.write_json(results / "jobs" / job.job_id / "status.json", said)
    except OSError as error:
        print(f"collapsebench: {job.job_id}: {message}; no row: {error}", file=sys.stderr)


def last_said(folder: Path) -> dict[str, Any]:
    """Stage, status and message of a job's last attempt; empty before the first."""
    return _read(folder / "status.json")


def progress(folder: Path) -> dict[str, Any]:
    """What a running job last said of itself; empty before its first word."""
    return _read(folder / "progress.json")


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found


def log_tail(folder: Path, lines: int = 30) -> Iterator[str]:
    """The last lines of a job's log."""
    try:
        yield from (folder / "log.txt").read_text(errors="replace").splitlines()[-lines:]
    except OSError:
        return
