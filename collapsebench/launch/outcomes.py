"""How a job ended: from exit codes, from what it said of itself, and what it could not say."""

from __future__ import annotations

import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from collapsebench.job.process import EXIT_CODES
from collapsebench.launch.tasks import Task
from collapsebench.results import provenance, tables
from collapsebench.results.folder import job_folder, last_said, say
from collapsebench.results.runs import run_name
from collapsebench.settings import system_reason


def status_of(code: int, task: Task, results: Path) -> str | None:
    """The status behind a job process's exit code; None if it ended without a result."""
    if code == 0:
        said = last_said(job_folder(results, task.job.job_id))
        stage, status = said.get("stage"), said.get("status")
        if status in tables.FINAL and (stage == task.stages[-1] or status != "done"):
            return status
        return None if set(task.job.pending(results)) & set(task.stages) else "done"
    known = {value: status for status, value in EXIT_CODES.items() if value}
    return known.get(code)


def settle(code: int, task: Task, results: Path, launcher: str) -> str:
    """The status of an ended process; one that died without a word leaves an ``error`` row."""
    if code >= 0 and (status := status_of(code, task, results)):
        return status
    message = (
        f"no result, exit code {code}; see the log"
        if code >= 0
        else f"killed by {signal.Signals(-code).name}"
    )
    record(results, task, "error", message, launcher)
    return "error"


def record(results: Path, task: Task, status: str, message: str, launcher: str) -> None:
    """Writes the row of a task whose own process could not; on a full disk, only says so."""
    job = task.job
    stage = next((s for s in job.pending(results) if s in task.stages), task.stages[0])
    key, run_id = job.key(stage), os.urandom(8).hex()
    row: dict[str, Any] = key | provenance.facts()
    row |= {"run_id": run_id, "status": status, "message": message, "launcher": launcher}
    row |= {"finished_at": datetime.now(UTC)}
    try:
        tables.write(results, "runs", run_name(key, status, run_id), [row])
        say(job_folder(results, job.job_id), stage, status, message)
    except OSError as error:
        why = system_reason(error)
        print(f"collapsebench: {job.job_id}: {message}; no row: {why}", file=sys.stderr)
