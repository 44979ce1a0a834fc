"""From outside a run: end jobs, start failed ones again."""

from __future__ import annotations

import os
import platform
import signal
from collections.abc import Sequence
from pathlib import Path

from collapsebench.launch import launcher, start, tasks
from collapsebench.plan.job import Job
from collapsebench.results import claims, grids, status
from collapsebench.results.folder import CANCEL
from collapsebench.settings import UserError


def cancel(words: Sequence[str], grid: str | None, results: Path) -> None:
    """Ends jobs that run, here or elsewhere, and takes queued ones out of their queue.

    A running job ends as ``cancelled`` within seconds, its checkpoint written.

    Raises:
        UserError: neither jobs nor a grid, an unknown one, or nothing to end.
    """
    if not words and grid is None:
        raise UserError("say what: cancel JOB, or cancel --grid NAME")
    ended = [folder for folder in chosen(words, grid, results) if _cancel(folder)]
    if not ended:
        raise UserError("none of these jobs is running or queued")
    for folder in ended:
        print(f"cancelled {folder.name}")


def _cancel(folder: Path) -> bool:
    queued, holder = launcher.cancel(folder), claims.holder(folder)
    if holder is None or not claims.alive(holder):
        return queued
    (folder / CANCEL).touch()  # seen by the job's process wherever it is
    if holder["host"] == platform.node():
        os.kill(holder["pid"], signal.SIGTERM)
    return True


def retry(
    words: Sequence[str], failed: bool, grid: str | None, results: Path, options: launcher.Options
) -> int:
    """Runs failed jobs again, as they were queued; returns the exit code of ``run``.

    Raises:
        UserError: nothing was asked for, an unknown job or grid, or a job that did not fail.
    """
    if bool(words) == failed:
        raise UserError("say what: retry JOB, or retry --failed")
    states = {row["job_id"]: row["status"] for row in status.status(results, grid)}
    wrong = {word: states[f.name] for word in words
             if states[(f := status.find(results, word)).name] not in start.FAILED}  # fmt: skip
    if wrong:
        word, state = next(iter(wrong.items()))
        raise UserError(f"job {word} did not fail: it is {state}")
    names = [f.name for f in chosen(words, None, results)] if words else list(states)
    folders = [results / "jobs" / name for name in names if states[name] in start.FAILED]
    if not folders:
        raise UserError("nothing failed; jobs that were never run are started by: run")
    jobs = [Job.load(folder) for folder in folders]
    return start.carry_out("retry", jobs, tasks.tasks(jobs, results), results, options)


def chosen(words: Sequence[str], grid: str | None, results: Path) -> list[Path]:
    """Folders of the named jobs and of a grid's jobs."""
    found = [status.find(results, word) for word in words]
    if grid is not None:
        jobs = grids.read(results, grid)["jobs"]
        found += [results / "jobs" / job["job_id"] for job in jobs]
    return [folder for folder in dict.fromkeys(found) if folder.exists()]
