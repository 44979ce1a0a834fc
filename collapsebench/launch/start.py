"""``collapsebench run``: plan, ask, write down what the grid is, start what is missing, sum up."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from collapsebench.job import process, trial
from collapsebench.job.order import Order
from collapsebench.launch import devices, inputs, tasks
from collapsebench.launch import launcher as launchers
from collapsebench.launch.board import name
from collapsebench.launch.launcher import Options
from collapsebench.launch.tasks import Task
from collapsebench.plan import forecast as plans
from collapsebench.plan.grid import Grid
from collapsebench.plan.job import Job, finished, pending
from collapsebench.quantities import duration
from collapsebench.results import grids, provenance
from collapsebench.results.folder import CANCEL, LOG, job_folder, log_tail
from collapsebench.results.tables import FAILED
from collapsebench.settings import UserError


def run(choice: plans.Choice, results: Path, options: Options, argv: Sequence[str]) -> int:
    """Runs what is missing of a grid; returns the exit code.

    0: all there is to say is said; 1: something failed; 2: not started; 130: interrupted.

    Raises:
        UserError: bad input, or data that no job could use.
    """
    launcher = launchers.find(options.launcher, results)
    grid, jobs = choice.jobs()
    if not options.dry_run:
        tasks.recover(jobs, results)
    device, order = devices.kind(options.gpus), options.order
    plan = plans.plan(grid, jobs, results, device, order.data_root, order.weights)
    todo = launchers.without_queued(tasks.tasks(jobs, results), results)
    if options.dry_run or (plan.lacking and todo):
        plans.show(plan)
        if options.dry_run:
            for text in filter(None, (launcher.forecast(todo), launcher.scripts(todo))):
                print(text)
        return 0 if options.dry_run else 2
    if todo and not options.yes and plan.total_hours > plans.ASK_ABOVE_HOURS and not ask(plan):
        return 2
    inputs.refuse_unusable([task.job for task in todo], order.data_root)
    for mistake in trial.mistakes([task.job for task in todo]):
        print(f"collapsebench: {mistake}", file=sys.stderr, flush=True)
    if said := outside(grid.name, jobs, results):
        print(f"collapsebench: {said}", file=sys.stderr, flush=True)
    grids.write(results, record(grid, jobs, argv))
    if options.debug:
        return in_this_process(todo, results, order)
    return carry_out(grid.name, jobs, todo, results, options)


def carry_out(
    title: str, jobs: Sequence[Job], todo: Sequence[Task], results: Path, options: Options
) -> int:
    """Starts tasks by the chosen launcher and sums up; returns the exit code of ``run``."""
    if not todo:
        left = [job for job in jobs if job.pending(results)]
        print(f"{title}: {len(jobs) - len(left)} of {len(jobs)} jobs complete; nothing to run")
        return 0
    for task in todo:
        (job_folder(results, task.job.job_id) / CANCEL).unlink(missing_ok=True)  # of an earlier run
    began = time.monotonic()
    statuses = launchers.find(options.launcher, results).run(title, todo, options)
    return summary(title, jobs, results, statuses, time.monotonic() - began)


def outside(name: str, jobs: Sequence[Job], results: Path) -> str:
    """What becomes of results of the grid's last run that these jobs leave out; "" without any."""
    try:
        before = grids.read(results, name)["jobs"]
    except UserError:  # there was none, or its record is damaged
        return ""
    others = {job["job_id"] for job in before} - {job.job_id for job in jobs}
    if not (left := {key[0] for key in finished(results, others)}):
        return ""
    return (
        f"jobs that were run as {name} before and are not in this run: {len(left)}; their rows "
        "stay, and a report of all is of a run that asks for all at once"
    )


def ask(plan: plans.Plan) -> bool:
    """Shows the plan and asks; without a terminal the answer is no."""
    plans.show(plan)
    if not sys.stdin.isatty():
        print("not started: add -y to accept this cost, or choose a smaller --scale")
        return False
    return input("start? [y/N] ").strip().lower() in ("y", "yes")


def record(grid: Grid, jobs: Sequence[Job], argv: Sequence[str]) -> dict[str, Any]:
    """What report, check and status will know of the grid; see ``results.grids``."""
    return {
        "name": grid.name,
        "title": grid.title,
        "reproduces": list(grid.reproduces),
        "scale": grid.scale,
        "scale_note": grid.note,
        "stages": list(grid.stages),
        "command": shlex.join(["collapsebench", *argv[1:]]),
        "jobs": [asdict(job) for job in jobs],
    }


def in_this_process(todo: Sequence[Task], results: Path, order: Order) -> int:
    """Everything in one process; an exception in a stage shows its whole traceback.

    Who called it has as many threads as before.
    """
    import torch

    from collapsebench.job import runner
    from collapsebench.job.workspace import Workspace

    before = torch.get_num_threads()
    try:
        for task in todo:
            folder = task.job.queue(results)
            device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
            threads = process.first_threads(folder, provenance.cores())
            torch.set_num_threads(threads)
            workspace = Workspace(Job.load(folder), folder, results, device, threads, order)
            runner.run(workspace, task.stages)
            if workspace.error is not None:
                raise workspace.error
    finally:
        torch.set_num_threads(before)
    return 0


def summary(
    title: str, jobs: Sequence[Job], results: Path, statuses: dict[str, str], elapsed_s: float
) -> int:
    """Says how it went, each failure with its log; returns the exit code."""
    done = finished(results)
    left = [job for job in jobs if pending(job, done)]
    failed = [job for job in left if statuses.get(job.job_id) in FAILED]
    for job in failed:
        folder = job_folder(results, job.job_id)
        if not (folder / LOG).exists():
            continue  # cancelled before it began
        print(f"\n{statuses[job.job_id]}: {name(job)}, log {folder / LOG}")
        print("".join(f"    {line}\n" for line in log_tail(folder, 12)), end="")
    ended = len(jobs) - len(left)
    print(f"\n{title}: {ended} of {len(jobs)} jobs complete in {duration(elapsed_s)}")
    interrupted = "interrupted" in statuses.values()
    queued = "queued" in statuses.values()
    if interrupted or (len(left) > len(failed) and not queued):
        print("run the same command again to go on; collapsebench status says where all stand")
    if ended:
        print("next: collapsebench report")
    return 130 if interrupted else 1 if failed else 0
