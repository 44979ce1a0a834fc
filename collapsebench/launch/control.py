"""From outside a run: end jobs, start failed ones again."""

from __future__ import annotations

import os
import platform
import signal
from collections.abc import Sequence
from pathlib import Path

from collapsebench.launch import launcher, tasks
from collapsebench.plan.job import Job
from collapsebench.results import claims, grids, status
from collapsebench.results.folder import CANCEL, job_folder
from collapsebench.results.runs import standing
from collapsebench.results.tables import FAILED, FINAL
from collapsebench.settings import UserError


def cancel(words: Sequence[str], grid: str | None, results: Path) -> None:
    """Ends jobs that run, here or elsewhere, and takes others out of queues and waiting lines.

    A running job ends as ``cancelled`` within seconds, its checkpoint written. What waits for a
    place in a run that goes on is not started by it.

    Raises:
        UserError: neither jobs nor a grid, an unknown one, or nothing to end.
    """
    if not words and grid is None:
        raise UserError("say what: cancel JOB, or cancel --grid NAME")
    folders = chosen(words, grid, results)
    waiting = _waiting(folders, results)
    for folder in waiting:  # first, or the end of another makes room for them
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CANCEL).touch()
    ended = [folder for folder in folders if _cancel(folder)]
    if not (ended or waiting):
        raise UserError("none of these jobs is running or queued")
    for folder in ended:
        print(f"cancelled {folder.name}")
    if others := waiting - set(ended):
        print(f"{len(others)} other{'s' * (len(others) > 1)} will not be started")


def _waiting(folders: Sequence[Path], results: Path) -> set[Path]:
    """Those that have not come to an end, while anything runs in this results folder."""
    if not any(claims.held(folder) for folder in (results / "jobs").glob("*")):
        return set()
    states = {row["job_id"]: row["status"] for row in status.status(results, None)}
    return {folder for folder in folders if states.get(folder.name) not in (*FINAL, "running")}


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
    """Runs jobs again that failed or lost rows, as they were queued; the exit code of ``run``.

    Raises:
        UserError: nothing was asked for, an unknown job or grid, or a job that did not fail.
    """
    if bool(words) == failed:
        raise UserError("say what: retry JOB, or retry --failed")
    states = {row["job_id"]: row["status"] for row in status.status(results, grid)}
    names = [f.name for f in chosen(words, None, results)] if words else list(states)
    again = {name for name in names if states.get(name) in FAILED}
    again |= {job_id for job_id, _ in standing(results, names).lost}
    if wrong := [name for name in names if words and name not in again]:
        state = states.get(wrong[0], "of no grid here")
        raise UserError(f"job {wrong[0]} did not fail: it is {state}")
    jobs = [Job.load(job_folder(results, name)) for name in names if name in again]
    if not jobs:
        raise UserError("nothing failed; jobs that were never run are started by: run")
    from collapsebench.launch import start  # loads torch

    tasks.recover(jobs, results)
    return start.carry_out("retry", jobs, tasks.tasks(jobs, results), results, options)


def chosen(words: Sequence[str], grid: str | None, results: Path) -> list[Path]:
    """Folders of the named jobs and of a grid's jobs, whether they were begun or not."""
    folders = [status.find(results, word) for word in words]
    if grid is not None:
        jobs = grids.read(results, grid)["jobs"]
        folders += [job_folder(results, job["job_id"]) for job in jobs]
    return list(dict.fromkeys(folders))
