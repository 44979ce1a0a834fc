"""Slurm: job arrays by submitit, one per stage group and cost class."""

from __future__ import annotations

import contextlib
import io
import math
import os
import re
import shutil
import signal
import subprocess
import time
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil

from collapsebench import extras
from collapsebench.job.order import Order
from collapsebench.job.process import command, spawn
from collapsebench.launch import limits, site
from collapsebench.launch.launcher import Launcher, Options
from collapsebench.launch.outcomes import settle
from collapsebench.launch.tasks import FIRST, Task
from collapsebench.plan import costs
from collapsebench.plan.job import Job
from collapsebench.results.folder import job_folder, last_said
from collapsebench.settings import Count, Positive, UserError, few, printable, shown

POLL_S = 5.0
CLASSES_H = (1, 4, 12, 24, 48, 96)  # wall times an array may ask for
MAX_ARRAY_SIZE = 1001  # of a cluster that was not told another
ANSWER_S = 60.0  # what a program of Slurm's gets for an answer
MOST_SAID = 300  # characters of why Slurm refuses
MARGIN = 2.0  # asked for, per estimated


class Slurm(Launcher):
    """Submits and returns; what was submitted goes on by itself."""

    label = "Slurm"

    @dataclass(frozen=True)
    class Settings:
        """How to ask for one job's share of a node.

        Attributes:
            time: wall time of an array, like "24h"; "" = twice the plan's estimate, rounded up.
            array_parallelism: jobs of an array at a time.
            requeues: how often a job that met its wall time goes on.
            max_array_size: elements of an array, at most; 0 = what the cluster says.
            notice_s: seconds between the scheduler's warning and its kill; the checkpoint is
                written in them.
            setup: shell lines before the job, like "module load cuda".
            parameters: any other ``sbatch`` option, by its long name.
        """

        partition: str = ""
        account: str = ""
        gpus_per_node: Count = 0
        cpus_per_task: Positive = 1
        mem: str = ""
        time: str = ""
        array_parallelism: Positive = 256
        max_array_size: Count = 0
        requeues: Count = 20
        notice_s: Positive = 90
        setup: tuple[str, ...] = ()
        parameters: dict[str, Any] = field(default_factory=dict)

    def run(self, title: str, todo: Sequence[Task], options: Options) -> dict[str, str]:
        """Queues tasks; with ``--wait``, returns when Slurm has ended them.

        Raises:
            UserError: submitit or Slurm is not installed, or Slurm refuses.
        """
        ids = self.submit(todo, options.order)
        print(f"{title}: {len(todo)} tasks queued in Slurm as {', '.join(ids)}", flush=True)
        if not options.wait:
            return {task.job.job_id: "queued" for task in todo}
        while any(element.partition("_")[0] in ids for element in listed()):
            time.sleep(POLL_S)
        folders = {task.job.job_id: job_folder(self.results, task.job.job_id) for task in todo}
        return {job_id: last_said(f).get("status", "error") for job_id, f in folders.items()}

    def submit(self, todo: Sequence[Task], order: Order) -> list[str]:
        """Queues tasks and returns the arrays' ids; what comes after trainings waits for them."""
        submitit, settings = _submitit(), self.settings
        for program in ("sbatch", "srun"):
            if shutil.which(program) is None:
                raise UserError(
                    f"--launcher slurm: no {program} here; submit from a node of the cluster"
                )
        executor = submitit.SlurmExecutor(
            self.results.resolve() / "slurm", max_num_timeout=settings.requeues
        )
        ids: list[str] = []
        first: list[str] = []
        for array in arrays(todo, self.results, settings):
            after = first if array.stages != FIRST[0] else []
            executor.parameters = {}
            executor.update_parameters(**parameters(array, settings, after))
            folders = [task.job.queue(self.results).resolve() for task in array.tasks]
            orders = [self.order(task, order) for task in array.tasks]
            try:
                with contextlib.redirect_stderr(io.StringIO()):  # where sbatch's words go, too
                    queued = executor.map_array(Work(settings.notice_s), folders, orders)
            except (submitit.core.utils.FailedJobError, OSError) as error:
                said = "; ".join(str(error).split("\n")).strip() or "sbatch does not say why"
                raise UserError(f"Slurm refuses: {said[:MOST_SAID]}") from None
            except submitit.core.utils.FailedSubmissionError as error:
                said = shown(str(error).partition("\n")[0])
                raise UserError(f"sbatch gave no job id, look at squeue: {said}") from None
            for folder, job in zip(folders, queued, strict=True):
                self.note_queued(folder, job.job_id)
            ids.append(queued[0].job_id.partition("_")[0])
            first += [ids[-1]] if array.stages == FIRST[0] else []
        return ids

    def order(self, task: Task, order: Order) -> Order:
        """What an array element is told; it waits for a process that may be dead."""
        threads = self.settings.cpus_per_task
        return replace(order, stages=task.stages, threads=threads, launcher=self.name, wait=True)

    def scripts(self, todo: Sequence[Task]) -> str:
        """The sbatch script of each array, as it would be submitted."""
        submitit, folder = _submitit(), self.results.resolve()
        # Private, but the one place that knows the script before there is a cluster to ask.
        return "\n".join(
            submitit.slurm.slurm._make_sbatch_string(
                " ".join(command(job_folder(folder, "JOB"))),
                folder / "slurm",
                map_count=len(array.tasks),
                **parameters(array, self.settings),
            )
            for array in arrays(todo, self.results, self.settings)
        )

    def forecast(self, todo: Sequence[Task]) -> str:
        """Node-hours of each array: as estimated, and at most, by the wall time that is asked for.

        An array's element is counted as a node, whatever share of one it asks for.
        """
        return "\n".join(
            f"array {array.stages}: {len(array.tasks)} x {array.hours} h of wall time, "
            f"about {array.estimate_h:.3g} node-hours, "
            f"at most {len(array.tasks) * array.hours:,}"
            for array in arrays(todo, self.results, self.settings)
        )

    def active(self, ids: Collection[str]) -> set[str]:
        """Array elements, "array_element", that are pending or running.

        Raises:
            UserError: there is no Slurm to ask.
        """
        return listed() & set(ids)

    def cancel(self, ids: Collection[str]) -> None:
        """Takes array elements out of the queue; warns where it cannot be told."""
        known = sorted(queued_id for queued_id in ids if re.fullmatch(r"[\d_]+", queued_id))
        if not known:
            return
        try:
            answer("scancel", "--quiet", *known)
        except (OSError, subprocess.SubprocessError) as error:
            text = f"Slurm was not told to cancel {few(known)}, which may still begin ({error})"
            warnings.warn(printable(text), stacklevel=2)


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
        task = Task(Job.load(folder), order.stages)
        settle(process.returncode, task, folder.parent.parent, order.launcher)
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
    estimate_h: float  # of all its tasks, one after another


def arrays(todo: Sequence[Task], results: Path, settings: Slurm.Settings) -> list[Array]:
    """Tasks by stage group and cost class, in the order of their first tasks.

    A group of more tasks than the cluster takes in one array is several arrays.
    """
    device = "a100" if settings.gpus_per_node else "cpu"
    siblings = costs.measured_seconds(results, device)
    groups: dict[tuple[str, int], list[tuple[Task, float]]] = {}
    for task in todo:
        seconds = sum(costs.seconds(task.job, stage, device, siblings) for stage in task.stages)
        group = FIRST[0] if task.stages[0] in FIRST else "after"
        groups.setdefault((group, wall_hours(seconds, settings)), []).append((task, seconds))
    most = settings.max_array_size or largest_array()
    return [
        Array(stages, hours, *_together(members[start : start + most]))
        for (stages, hours), members in groups.items()
        for start in range(0, len(members), most)
    ]


def _together(members: Sequence[tuple[Task, float]]) -> tuple[tuple[Task, ...], float]:
    """Tasks, and the hours that they take one after another."""
    return tuple(task for task, _ in members), math.fsum(s for _, s in members) / 3600


def largest_array() -> int:
    """Elements that this cluster takes in one array; Slurm's default where it does not say."""
    try:
        said = answer("scontrol", "show", "config")
    except (OSError, subprocess.SubprocessError):
        said = ""
    found = re.search(r"^MaxArraySize\s*=\s*([1-9]\d*)$", said, re.MULTILINE)
    return int(found[1]) if found else MAX_ARRAY_SIZE


def answer(*command: str) -> str:
    """What a program of Slurm's prints, whatever its letters are.

    Raises:
        OSError: there is no such program.
        subprocess.SubprocessError: it fails, or says nothing for ``ANSWER_S``.
    """
    ended = subprocess.run(
        command, capture_output=True, text=True, errors="replace", check=True, timeout=ANSWER_S
    )
    return ended.stdout


def wall_hours(estimate_s: float, settings: Slurm.Settings) -> int:
    """Hours to ask for: the site's, else the smallest class that holds twice the estimate."""
    if settings.time:
        return math.ceil(limits.seconds(f"{site.FILE}, slurm.time", settings.time) / 3600)
    wanted = MARGIN * estimate_s / 3600
    return next((hours for hours in CLASSES_H if hours >= wanted), CLASSES_H[-1])


def parameters(array: Array, settings: Slurm.Settings, after: Sequence[str] = ()) -> dict[str, Any]:
    """submitit's parameters of an array; those the site leaves open stay the cluster's own.

    Raises:
        UserError: a value of the site's that would be more than one line or option of a script.
    """
    options = {"partition": settings.partition, "account": settings.account, "mem": settings.mem}
    refuse_unsafe(options | settings.parameters, ";")
    for line in settings.setup:
        refuse_unsafe({"setup": line}, "")
    asked: dict[str, Any] = {
        "partition": settings.partition,
        "account": settings.account,
        "gpus_per_node": settings.gpus_per_node,
        "mem": settings.mem,
        "dependency": f"afterany:{':'.join(after)}" if after else "",
        "setup": list(settings.setup),
        "additional_parameters": settings.parameters,
    }
    return {key: value for key, value in asked.items() if value} | {
        "job_name": f"collapsebench-{array.stages}",
        "time": array.hours * 60,
        "cpus_per_task": settings.cpus_per_task,
        "array_parallelism": settings.array_parallelism,
        "signal_delay_s": settings.notice_s,
        "stderr_to_stdout": True,
    }


def refuse_unsafe(values: Mapping[str, Any], forbidden: str) -> None:
    """Raises ``UserError`` for a value, or its name, that is more than one line of a script."""
    for name, value in values.items():
        for text in (name, str(value)):
            if not text.isprintable() or {*text} & {*forbidden}:
                raise UserError(f"{site.FILE}, slurm.{printable(name)}: {shown(value)} is no value")


def listed() -> set[str]:
    """Array elements of this user that are pending or running."""
    options = ("--noheader", "--array", "--user", str(os.getuid()), "--format=%F_%K")
    try:
        found = answer("squeue", *options)
    except (OSError, subprocess.SubprocessError) as error:
        raise UserError(
            f"jobs are queued in Slurm, which cannot be asked from here ({error}); "
            "`collapsebench cancel JOB` forgets them"
        ) from None
    return set(found.split())


def _submitit() -> Any:
    with extras.explained():
        import submitit
    return submitit
