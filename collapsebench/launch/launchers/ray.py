"""Ray: a cluster that is there, or one of this machine alone."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from collapsebench import extras
from collapsebench.job.order import Order
from collapsebench.job.process import spawn
from collapsebench.job.stop import Signals
from collapsebench.launch.ahead import Ahead
from collapsebench.launch.board import Board
from collapsebench.launch.launcher import Launcher, Options
from collapsebench.launch.outcomes import record, settle
from collapsebench.launch.tasks import Task, again, jobs_of
from collapsebench.results.tables import FINAL
from collapsebench.settings import UserError

POLL_S = 0.5
HANDED_ON = "COLLAPSEBENCH_"  # environment variables that reach the workers


class Ray(Launcher):
    """Hands every task to a cluster whose nodes see the results folder, and stays."""

    @dataclass(frozen=True)
    class Settings:
        """Which cluster, and one job's share of a node.

        Attributes:
            address: like "auto" or "ray://head:10001"; "" = a cluster of this machine alone.
            gpus_per_job: may be a fraction.
            losses: how often a job is started again after its worker or node was lost.
        """

        address: str = ""
        gpus_per_job: float = 0.0
        cpus_per_job: float = 1.0
        losses: int = 3

    def run(self, title: str, todo: Sequence[Task], options: Options) -> dict[str, str]:
        """Works through tasks.

        A lost worker or node costs what came after the job's last checkpoint: Ray starts the task
        elsewhere, and it goes on once the claim of the dead process is stale.

        Raises:
            UserError: Ray is not installed, or the cluster does not answer.
        """
        print(f"{title}: {jobs_of(todo)} to run by Ray", flush=True)
        ray = connect(self.settings.address)
        ahead = Ahead(todo, self.results, options.gpus, slots=1)
        with Board(todo, self.results, ahead) as board, Signals() as signals:
            fleet = Fleet(ray, self, options, board.on_end)
            try:
                for task in todo:
                    fleet.take(task)
                while fleet.running:
                    fleet.stop(signals.count)
                    fleet.collect()
            finally:
                ray.shutdown()
        return fleet.statuses


def connect(address: str) -> Any:
    """The module ``ray``, connected; COLLAPSEBENCH_* variables reach its workers."""
    with extras.explained():
        import ray
    variables = {key: value for key, value in os.environ.items() if key.startswith(HANDED_ON)}
    # An address in the environment would win over an empty one: "local" starts our own.
    try:
        ray.init(
            address=address or "local",
            runtime_env={"env_vars": variables},
            log_to_driver=False,
            ignore_reinit_error=True,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UserError(f"no Ray cluster at {address!r}: {error}") from None
    return ray


def carry(folder: Path, order: Order) -> int:
    """Runs in a worker: one job process, ended gently if the worker is told to stop."""
    import ray

    task_id = ray.get_runtime_context().get_task_id() or ""
    process = spawn(folder, replace(order, launcher_job=task_id), {})
    try:
        while process.poll() is None:
            time.sleep(POLL_S)
    except KeyboardInterrupt:  # ray.cancel
        process.send_signal(signal.SIGTERM)
        process.wait()
    return process.returncode


class Fleet:
    """The state of one run on Ray."""

    def __init__(
        self,
        ray: Any,
        launcher: Ray,
        options: Options,
        on_end: Callable[[Task, str, bool], None],
    ):
        self.ray, self.launcher, self.options, self.on_end = ray, launcher, options, on_end
        self.results, self.cluster = launcher.results, launcher.settings
        self.running: dict[Any, Task] = {}
        self.later: dict[str, list[Task]] = {}  # job_id -> what waits for the job's first task
        self.statuses: dict[str, str] = {}
        self.told = 0

    def take(self, task: Task) -> None:
        """Starts a task, or lets it wait for an earlier one of its job."""
        if task.job.job_id in self.later:
            self.later[task.job.job_id].append(task)
        else:
            self.later[task.job.job_id] = []
            self.start(task)

    def start(self, task: Task) -> None:
        """Hands a task to the cluster."""
        gpus = self.cluster.gpus_per_job
        order = replace(
            self.options.order,
            stages=task.stages,
            threads=max(1, int(self.cluster.cpus_per_job)),
            launcher=self.launcher.name,
            wait=True,  # for the claim of a process that may be dead
            bound=True,
        )
        remote = self.ray.remote(carry).options(
            num_gpus=math.ceil(gpus) if task.alone else gpus,
            num_cpus=self.cluster.cpus_per_job,
            max_retries=self.cluster.losses,
            name=f"{task.job.job_id} {','.join(task.stages)}",
        )
        self.running[remote.remote(task.job.queue(self.results).resolve(), order)] = task

    def stop(self, told: int) -> None:
        """Passes new signals on: the first lets jobs write their checkpoints."""
        late = self.options.until is not None and time.time() > self.options.until
        failed = self.options.fail_fast and any(s not in FINAL for s in self.statuses.values())
        told = max(told, 1 if late or failed else 0)
        if told > self.told:
            self.told = told
            for reference in self.running:
                self.ray.cancel(reference, force=told > 1, recursive=False)

    def collect(self) -> None:
        """Takes in what ended, and decides what is tried again."""
        ended, _ = self.ray.wait(list(self.running), num_returns=1, timeout=POLL_S)
        for reference in ended:
            task = self.running.pop(reference)
            status = self._outcome(reference, task)
            following = again(task, status, self.options.retries) if not self.told else None
            if following is not None:
                self.start(following)
                continue
            self.statuses[task.job.job_id] = status
            later = self.later[task.job.job_id]
            more = status == "done" and not self.told and bool(later)
            self.on_end(task, status, more)
            if more:
                self.start(later.pop(0))

    def _outcome(self, reference: Any, task: Task) -> str:
        try:
            code = self.ray.get(reference)
        except self.ray.exceptions.TaskCancelledError:
            return "interrupted"
        except self.ray.exceptions.RayError as error:
            if self.told:
                return "interrupted"
            return self._fail(task, f"{type(error).__name__}: {str(error).splitlines()[0]}")
        return settle(code, task, self.results, self.launcher.name)

    def _fail(self, task: Task, message: str) -> str:
        record(self.results, task, "error", message, self.launcher.name)
        return "error"
