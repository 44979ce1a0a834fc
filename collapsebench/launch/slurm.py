"""Jobs as Slurm arrays, by submitit: one array per stage group and cost class.

A queued job is written down in its folder, ``queued.json``; while Slurm knows its id, no ``run``
starts or queues it again.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import math
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from collapsebench.job.order import Order
from collapsebench.job.process import command, spawn
from collapsebench.launch import limits, site
from collapsebench.launch.tasks import FIRST, Task
from collapsebench.plan import costs
from collapsebench.results import tables
from collapsebench.settings import UserError

POLL_S = 5.0
CLASSES_H = (1, 4, 12, 24, 48, 96)  # wall times an array may ask for
MARGIN = 2.0  # asked for, per estimated


class Work:
    """What an array element calls; goes on after a preemption or at the end of its wall time."""

    def __init__(self, notice_s: int):
        self.notice_s = notice_s

    def __call__(self, folder: Path, order: Order) -> int:
        """Runs the job's process; returns its exit code."""
        import submitit

        job_id = submitit.JobEnvironment().job_id
        process = spawn(folder, replace(order, launcher_job=job_id), {})
        self.pid = process.pid
        while process.poll() is None:  # a warning arrives in here
            time.sleep(0.5)
        return process.returncode

    def checkpoint(self, folder: Path, order: Order) -> Any:
        """Called at the scheduler's warning: ends the process gently, to be queued again."""
        import submitit

        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            process.send_signal(signal.SIGTERM)
            process.wait(self.notice_s)
        return submitit.helpers.DelayedSubmission(Work(self.notice_s), folder, order)


@dataclass(frozen=True)
class Array:
    """Tasks that are submitted together."""

    stages: str  # "train" or "sample": what the first of them does
    hours: int
    tasks: tuple[Task, ...]


def arrays(todo: Sequence[Task], results: Path, slurm: site.Slurm) -> list[Array]:
    """Tasks by stage group and cost class, in the order of their first tasks."""
    device = "a100" if slurm.gpus_per_node else "cpu"
    siblings = costs.measured_seconds(results, device)
    groups: dict[tuple[str, int], list[Task]] = {}
    for task in todo:
        found = sum(costs.seconds(task.job, stage, device, siblings) for stage in task.stages)
        group = FIRST[0] if task.stages[0] in FIRST else "after"
        groups.setdefault((group, wall_hours(found, slurm)), []).append(task)
    return [Array(stages, hours, tuple(found)) for (stages, hours), found in groups.items()]


def wall_hours(estimate_s: float, slurm: site.Slurm) -> int:
    """Hours to ask for: the site's, else the smallest class that holds twice the estimate."""
    if slurm.time:
        return math.ceil(limits.seconds(f"{site.FILE}, slurm.time", slurm.time) / 3600)
    wanted = MARGIN * estimate_s / 3600
    return next((hours for hours in CLASSES_H if hours >= wanted), CLASSES_H[-1])


def parameters(array: Array, slurm: site.Slurm, after: Sequence[str] = ()) -> dict[str, Any]:
    """submitit's parameters of an array; those the site leaves open stay the cluster's own."""
    asked: dict[str, Any] = {
        "partition": slurm.partition,
        "account": slurm.account,
        "gpus_per_node": slurm.gpus_per_node,
        "mem": slurm.mem,
        "dependency": f"afterany:{':'.join(after)}" if after else "",
        "setup": list(slurm.setup),
        "additional_parameters": slurm.parameters,
    }
    return {key: value for key, value in asked.items() if value} | {
        "job_name": f"collapsebench-{array.stages}",
        "time": array.hours * 60,
        "cpus_per_task": slurm.cpus_per_task,
        "array_parallelism": slurm.array_parallelism,
        "signal_delay_s": slurm.notice_s,
        "stderr_to_stdout": True,
    }


def submit(todo: Sequence[Task], results: Path, order: Order) -> list[str]:
    """Queues tasks and returns the arrays' ids.

    Raises:
        UserError: submitit or Slurm is not installed, or Slurm refuses.
    """
    submitit, slurm = _submitit(), site.load(results).slurm
    if shutil.which("sbatch") is None:
        raise UserError("--launcher slurm: no sbatch here; submit from a node of the cluster")
    executor = submitit.SlurmExecutor(results.resolve() / "slurm", max_num_timeout=slurm.requeues)
    ids: list[str] = []
    first: list[str] = []
    for array in arrays(todo, results, slurm):
        after = first if array.stages != FIRST[0] else []
        executor.parameters = {}
        executor.update_parameters(**parameters(array, slurm, after))
        folders = [task.job.queue(results).resolve() for task in array.tasks]
        orders = [
            replace(
                order, stages=task.stages, threads=slurm.cpus_per_task, launcher="slurm", wait=True
            )
            for task in array.tasks
        ]
        try:
            queued = executor.map_array(Work(slurm.notice_s), folders, orders)
        except (submitit.core.utils.FailedJobError, OSError) as error:
            raise UserError(f"Slurm refuses: {str(error).strip()}") from None
        for task, job in zip(array.tasks, queued, strict=True):
            note_queued(results / "jobs" / task.job.job_id, job.job_id)
        ids.append(queued[0].job_id.partition("_")[0])
        first += [ids[-1]] if array.stages == FIRST[0] else []
    return ids


def scripts(todo: Sequence[Task], results: Path) -> str:
    """The sbatch script of each array, as it would be submitted."""
    submitit, slurm = _submitit(), site.load(results).slurm
    found = []
    for array in arrays(todo, results, slurm):
        # Private, but the one place that knows the script before there is a cluster to ask.
        found.append(
            submitit.slurm.slurm._make_sbatch_string(
                " ".join(command((results / "jobs" / "JOB").resolve())),
                results.resolve() / "slurm",
                map_count=len(array.tasks),
                **parameters(array, slurm),
            )
        )
    return "\n".join(found)


def wait(ids: Sequence[str]) -> None:
    """Returns when Slurm has ended all of these arrays."""
    while any(known.partition("_")[0] in ids for known in active()):
        time.sleep(POLL_S)


def without_queued(todo: Sequence[Task], results: Path) -> list[Task]:
    """Tasks whose job no Slurm queue holds; says how many were left out."""
    noted = {task.job.job_id: queued_ids(results / "jobs" / task.job.job_id) for task in todo}
    if not any(noted.values()):
        return list(todo)
    known = active()
    free = [task for task in todo if not known & set(noted[task.job.job_id])]
    if len(free) < len(todo):
        print(f"{len(todo) - len(free)} tasks are queued in Slurm already")
    return free


def active() -> set[str]:
    """Ids, "array_element", of this user's jobs that are pending or running.

    Raises:
        UserError: there is no Slurm to ask.
    """
    command = ["squeue", "--noheader", "--array", "--user", getpass.getuser(), "--format=%F_%K"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise UserError(
            f"jobs are queued in Slurm, which cannot be asked from here ({error}); "
            "`collapsebench cancel JOB` forgets them"
        ) from None
    return set(found.split())


def note_queued(folder: Path, job_id: str) -> None:
    """Writes an id into ``queued.json``."""
    tables.write_json(folder / "queued.json", {"slurm": [*queued_ids(folder), job_id]})


def queued_ids(folder: Path) -> list[str]:
    """The ids under which a job was ever queued."""
    try:
        found: list[str] = json.loads((folder / "queued.json").read_text())["slurm"]
    except FileNotFoundError:
        return []
    return found


def cancel(folder: Path) -> list[str]:
    """Takes a job out of the queue; returns the ids that were asked to end."""
    ids = queued_ids(folder)
    if ids and shutil.which("scancel"):
        subprocess.run(["scancel", "--quiet", *ids], check=False)
    (folder / "queued.json").unlink(missing_ok=True)
    return ids


def _submitit() -> Any:
    try:
        import submitit
    except ImportError:
        raise UserError(
            "--launcher slurm needs submitit: pip install 'collapsebench[slurm]'"
        ) from None
    return submitit
