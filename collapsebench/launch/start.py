"""``collapsebench run``: plan, ask, write down what the grid is, start what is missing, sum up."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from collapsebench.job import process
from collapsebench.launch import devices, local, ray, site, slurm, tasks
from collapsebench.launch.board import Board, duration, name
from collapsebench.launch.limits import deadline, seconds
from collapsebench.launch.tasks import Task
from collapsebench.plan import forecast as plans
from collapsebench.plan.grid import Grid
from collapsebench.plan.job import Job, finished, pending
from collapsebench.results import grids, provenance
from collapsebench.results.folder import last_said, log_tail
from collapsebench.settings import UserError, did_you_mean

FAILED = ("error", "timeout", "out_of_memory", "cancelled")


@dataclass(frozen=True)
class Options:
    """How to run; none of it is part of an id.

    Attributes:
        slots: jobs at a time on the processor; None = one a core, at most 4.
        gpus: which GPUs; None = all there are, () = none.
        timeout, until, budget: "24h", "09:00", "8h".
        wait: stay until what was queued has ended.
    """

    slots: int | None = None
    gpus: tuple[str, ...] | None = None
    jobs_per_gpu: int = 1
    timeout: str | None = None
    until: str | None = None
    budget: str | None = None
    checkpoint: str | None = None
    retries: int = 0
    fail_fast: bool = False
    launcher: str = "local"
    wait: bool = False
    dry_run: bool = False
    yes: bool = False
    debug: bool = False
    weights: Path | None = None
    allow_unverified_weights: bool = False


def run(choice: plans.Choice, results: Path, options: Options, argv: Sequence[str]) -> int:
    """Runs what is missing of a grid; returns the exit code.

    0: all there is to say is said; 1: something failed; 2: not started; 130: interrupted.

    Raises:
        UserError: bad input, or data or weights that are missing.
    """
    if options.launcher not in LAUNCHERS:
        known = did_you_mean(options.launcher, LAUNCHERS)
        raise UserError(f"--launcher: unknown launcher {options.launcher!r}{known}")
    set_environment(choice, options)
    grid, jobs = choice.jobs()
    if not options.dry_run:
        tasks.recover(jobs, results)
    found = plans.plan(grid, jobs, results, devices.kind(gpus(options)), choice.data_root)
    todo = slurm.without_queued(tasks.tasks(jobs, results), results)
    if options.dry_run or (found.lacking and todo):
        plans.show(found)
        if options.dry_run and options.launcher == "slurm":
            print(slurm.scripts(todo, results, order(options)))
        return 0 if options.dry_run else 2
    if todo and not options.yes and found.total_hours > plans.ASK_ABOVE_HOURS and not ask(found):
        return 2
    grids.write(results, record(grid, jobs, argv))
    if options.debug:
        return in_this_process(todo, results)
    return carry_out(grid.name, jobs, todo, results, options)


def carry_out(
    title: str, jobs: Sequence[Job], todo: Sequence[Task], results: Path, options: Options
) -> int:
    """Starts tasks by the chosen launcher and sums up; returns the exit code of ``run``."""
    if not todo:
        left = [job for job in jobs if job.pending(results)]
        print(f"{title}: {len(jobs) - len(left)} of {len(jobs)} jobs complete; nothing to run")
        return 0
    began = time.monotonic()
    statuses = LAUNCHERS[options.launcher](title, todo, results, options)
    return summary(title, jobs, results, statuses, time.monotonic() - began)


def run_local(title: str, todo: Sequence[Task], results: Path, options: Options) -> dict[str, str]:
    """On this machine; see ``local.run``."""
    count = options.slots or default_slots(len(todo))
    places = tasks.slots(count, gpus(options), options.jobs_per_gpu)
    print(f"{title}: {len(todo)} tasks to run on {len(places)} slots", flush=True)
    with Board(todo, results, len(places)) as board:
        return local.run(
            todo, results, places, rules(options), on_event=board.on_event, on_poll=board.on_poll
        )


def run_ray(title: str, todo: Sequence[Task], results: Path, options: Options) -> dict[str, str]:
    """On a Ray cluster; see ``ray.run``."""
    cluster = site.load(results).ray
    print(f"{title}: {len(todo)} tasks to run by Ray", flush=True)
    with Board(todo, results, len(todo)) as board:
        return ray.run(todo, results, rules(options), cluster, on_event=board.on_event)


def run_slurm(title: str, todo: Sequence[Task], results: Path, options: Options) -> dict[str, str]:
    """Queued in Slurm; see ``slurm.submit``."""
    ids = slurm.submit(todo, results, order(options))
    print(f"{title}: {len(todo)} tasks queued in Slurm as {', '.join(ids)}", flush=True)
    if options.wait:
        slurm.wait(ids)
        return {t.job.job_id: last_said(results / "jobs" / t.job.job_id).get("status", "error")
                for t in todo}  # fmt: skip
    return {task.job.job_id: "queued" for task in todo}


LAUNCHERS = {"local": run_local, "slurm": run_slurm, "ray": run_ray}


def rules(options: Options) -> local.Rules:
    """Limits and retries, parsed."""
    return local.Rules(
        timeout_s=seconds("--timeout", options.timeout),
        retries=options.retries,
        fail_fast=options.fail_fast,
        until=deadline(options.until, options.budget),
        checkpoint_s=checkpoint_s(options),
    )


def order(options: Options) -> process.Order:
    """What a queued job is told, but for its folder and stages."""
    return process.Order(
        Path(),
        launcher="slurm",
        limit_s=seconds("--timeout", options.timeout) or 0.0,
        wait=True,
        checkpoint_s=checkpoint_s(options),
    )


def checkpoint_s(options: Options) -> float:
    """Seconds between two checkpoints."""
    found = seconds("--checkpoint", options.checkpoint)
    return process.CHECKPOINT_S if found is None else found


def gpus(options: Options) -> tuple[str, ...]:
    """The GPUs to use."""
    return devices.gpus() if options.gpus is None else options.gpus


def default_slots(tasks: int) -> int:
    """Small jobs run fastest on a core each; a job takes about 1 GB, hence at most 4."""
    return max(1, min(provenance.cores(), tasks, 4))


def set_environment(choice: plans.Choice, options: Options) -> None:
    """What job processes inherit: where data and weights lie."""
    if choice.data_root is not None:
        os.environ["COLLAPSEBENCH_DATA"] = str(choice.data_root.resolve())
    if options.weights is not None:
        os.environ["COLLAPSEBENCH_INCEPTION_WEIGHTS"] = str(options.weights.resolve())
    if options.allow_unverified_weights:
        os.environ[process.ALLOW_UNVERIFIED] = "1"


def ask(found: plans.Plan) -> bool:
    """Shows the plan and asks; without a terminal the answer is no."""
    plans.show(found)
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


def in_this_process(todo: Sequence[Task], results: Path) -> int:
    """Everything in one process; an exception in a stage shows its whole traceback."""
    import torch

    from collapsebench.job import runner
    from collapsebench.job.workspace import Workspace

    for task in todo:
        folder = task.job.queue(results)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        threads = process.first_threads(folder, provenance.cores())
        torch.set_num_threads(threads)
        workspace = Workspace(Job.load(folder), folder, results, device, threads)
        runner.run(workspace, task.stages)
        if workspace.error is not None:
            raise workspace.error
    return 0


def summary(
    title: str, jobs: Sequence[Job], results: Path, statuses: dict[str, str], elapsed_s: float
) -> int:
    """Says how it went, each failure with its log; returns the exit code."""
    done = finished(results)
    left = [job for job in jobs if pending(job, done)]
    failed = [job for job in left if statuses.get(job.job_id) in FAILED]
    for job in failed:
        folder = results / "jobs" / job.job_id
        print(f"\n{statuses[job.job_id]}: {name(job)}, log {folder / 'log.txt'}")
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
