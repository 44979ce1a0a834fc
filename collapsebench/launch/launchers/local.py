"""This machine: slots with a share of the processor or a GPU, one subprocess a job."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from collapsebench.job.process import TAKEN, spawn
from collapsebench.job.stop import Signals
from collapsebench.launch import tasks
from collapsebench.launch.ahead import Ahead
from collapsebench.launch.board import Board
from collapsebench.launch.launcher import Launcher, Options
from collapsebench.launch.outcomes import record, settle
from collapsebench.launch.tasks import Slot, Task, again, jobs_of
from collapsebench.plan.job import Job
from collapsebench.results import claims, provenance, tables
from collapsebench.results.folder import CANCEL, job_folder
from collapsebench.settings import system_reason

POLL_S = 0.2
LOOK_S = 1.0  # between two looks at a job that somebody else holds
GRACE_S = 60.0  # what a job that should have ended gets before it is killed


class Local(Launcher):
    """Starts subprocesses and stays until they have ended."""

    def run(self, title: str, todo: Sequence[Task], options: Options) -> dict[str, str]:
        """Works through tasks, as many at a time as there are slots.

        What another ``run`` on this folder works on is left to it. After a first Ctrl-C, SIGTERM
        or the end of the terminal what runs writes its checkpoint and ends as ``interrupted``;
        after a second it is killed. Whose job is cancelled meanwhile is not started.
        """
        count = options.slots or default_slots(len(todo))
        places = tasks.slots(count, options.gpus, options.jobs_per_gpu)
        ahead = Ahead(todo, self.results, options.gpus, len(places))
        words = f"{jobs_of(todo)} to run, {len(places)} at a time", ahead.words({})
        print(f"{title}: {', '.join(filter(None, words))}", flush=True)
        with Board(todo, self.results, ahead) as board, Signals() as signals:
            crew = Crew(todo, self.results, places, options, board.on_end)
            try:
                while crew.busy(stopping=signals.count > 0):
                    if not signals.count:
                        crew.start()
                    time.sleep(POLL_S)
                    board.on_poll([r.task.job for r in crew.running])
                    crew.stop(signals.count)
                    crew.collect()
            finally:
                crew.leave(signals)
        return crew.statuses


def default_slots(tasks: int) -> int:
    """Small jobs run fastest on a core each; a job takes about 1 GB, hence at most 4."""
    return max(1, min(provenance.cores(), tasks, 4))


@dataclass
class Running:
    """A started task."""

    task: Task
    process: subprocess.Popen[bytes]
    slot: Slot
    began: float


class Crew:
    """The state of one local run."""

    def __init__(
        self,
        todo: Sequence[Task],
        results: Path,
        places: Sequence[Slot],
        options: Options,
        on_end: Callable[[Task, str, bool], None],
    ):
        self.waiting, self.free = list(todo), list(places)
        self.results, self.options, self.on_end = results, options, on_end
        self.running: list[Running] = []
        self.statuses: dict[str, str] = {}
        self.watch = claims.Watch()
        self.look_again: dict[str, float] = {}  # job_id -> when, for jobs held by others
        self.told = 0  # how often the running tasks were told to stop
        self.broken = False  # nothing more can be started: the folder is full or read-only

    def busy(self, stopping: bool) -> bool:
        """Whether there is anything left to do or to wait for."""
        return bool(self.running) or not (stopping or self._over() or not self.waiting)

    def start(self) -> None:
        """Fills the free slots."""
        while self.free and not self._over() and (task := self._next()):
            self.waiting.remove(task)
            try:
                self._start(task, self.free[0])
            except OSError as error:
                self.broken = True
                record(
                    self.results,
                    task,
                    "error",
                    f"cannot be started: {system_reason(error)}",
                    "local",
                )
                self.statuses[task.job.job_id] = "error"

    def stop(self, told: int) -> None:
        """Passes new signals on, a second one as a kill, and ends what outlived its limit."""
        if told > self.told:
            self.told = told
            for r in self.running:
                r.process.send_signal(signal.SIGTERM if told == 1 else signal.SIGKILL)
        for r in self.running:
            if self._overdue(r):
                r.process.kill()

    def leave(self, signals: Signals) -> None:
        """Ends what still runs because this run failed: gently, unless that takes too long."""
        self.stop(max(1, signals.count))
        end = time.monotonic() + GRACE_S
        while any(r.process.poll() is None for r in self.running):
            if signals.count > 1 or time.monotonic() > end:
                self.stop(2)
            time.sleep(POLL_S)

    def collect(self) -> None:
        """Takes in what ended, and decides what is tried again."""
        for ended in [r for r in self.running if r.process.poll() is not None]:
            self.running.remove(ended)
            self.free.append(ended.slot)
            task, code = ended.task, ended.process.returncode
            if code == TAKEN:
                self.waiting.insert(0, task)
                continue
            status = self._outcome(ended)
            failure = "killed" if code < 0 and status == "error" else status
            following = again(task, failure, self.options.retries)
            later = [t for t in self.waiting if t.job.job_id == task.job.job_id]
            self.waiting = [t for t in self.waiting if t not in later]
            if following is not None:
                self.waiting += [following, *later]
                status += ", will be tried again"
            elif status == "done":
                self.waiting += later
            self._end(task, status)

    def _over(self) -> bool:
        """Whether nothing more is to be started."""
        late = self.options.until is not None and time.time() > self.options.until
        failed = any(s not in (*tables.FINAL, "interrupted") for s in self.statuses.values())
        return late or self.broken or (self.options.fail_fast and failed)

    def _next(self) -> Task | None:
        """The first task that can start: what others hold or have done is passed over."""
        if any(r.task.alone for r in self.running):
            return None
        seen = {r.task.job.job_id for r in self.running}
        for task in list(self.waiting):
            if task.job.job_id in seen or (task.alone and self.running):
                continue
            seen.add(task.job.job_id)
            if self._held(task.job):
                continue
            if (job_folder(self.results, task.job.job_id) / CANCEL).exists():
                self.waiting = [t for t in self.waiting if t.job.job_id != task.job.job_id]
                self._end(task, "cancelled")
                continue
            left = task.job.pending(self.results)
            if left and left[0] in task.stages:
                return task
            self.waiting.remove(task)  # done by another run, or an earlier stage failed in one
            if not left:
                self._end(task, "done")
        return None

    def _held(self, job: Job) -> bool:
        if time.monotonic() < self.look_again.get(job.job_id, 0.0):
            return True
        held = not self.watch.free(job_folder(self.results, job.job_id))
        if held:
            self.look_again[job.job_id] = time.monotonic() + LOOK_S
        return held

    def _start(self, task: Task, slot: Slot) -> None:
        folder = task.job.queue(self.results)
        order = replace(
            self.options.order,
            stages=task.stages,
            threads=slot.threads,
            wait=claims.holder(folder) is not None,  # a dead one of another host: wait and see
        )
        place = {"OMP_NUM_THREADS": str(slot.threads), "CUDA_VISIBLE_DEVICES": slot.gpu}
        process = spawn(folder, order, place)
        self.free.remove(slot)
        self.running.append(Running(task, process, slot, time.monotonic()))

    def _overdue(self, r: Running) -> bool:
        limit = self.options.order.limit_s
        return limit > 0 and time.monotonic() - r.began > limit + GRACE_S

    def _outcome(self, ended: Running) -> str:
        """The status of an ended process; one that died without a word leaves a row all the same.

        A process that somebody killed while it was told to stop is merely interrupted.
        """
        code, task = ended.process.returncode, ended.task
        if code < 0 and self.told:
            return "interrupted"
        if code < 0 and self._overdue(ended):
            limit = self.options.order.limit_s
            message = f"killed {GRACE_S:.0f} s after {limit:.0f} s"
            record(self.results, task, "timeout", message, "local")
            return "timeout"
        return settle(code, task, self.results, "local")

    def _end(self, task: Task, status: str) -> None:
        job_id = task.job.job_id
        self.statuses[job_id] = status.partition(",")[0]
        self.look_again.pop(job_id, None)
        self.on_end(task, status, any(t.job.job_id == job_id for t in self.waiting))
