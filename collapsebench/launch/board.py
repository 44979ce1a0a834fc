"""What ``run`` shows while it works: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.live import Live
from rich.table import Table

from collapsebench.launch.ahead import Ahead
from collapsebench.launch.tasks import Task
from collapsebench.monitor.causes import collapsing
from collapsebench.plan.job import Job
from collapsebench.quantities import ERRORS, live, percent
from collapsebench.results.folder import job_folder, progress
from collapsebench.results.rowfiles import STATUSES
from collapsebench.settings import console

SAY_S = 60.0  # between two lines about running jobs where there is no terminal


class Board:
    """Follows a run; use as a context manager. It counts jobs: a task may be a part of one.

    Attributes:
        values: job_id -> the last of each of its numbers.
        best: job_id -> its largest perplexity along training, and at which step.
    """

    def __init__(self, todo: Sequence[Task], results: Path, ahead: Ahead):
        self.results, self.ahead, self.ended = results, ahead, 0
        self.total = len({task.job.job_id for task in todo})
        self.said = time.monotonic()
        self.values: dict[str, dict[str, float]] = {}
        self.best: dict[str, tuple[float, int]] = {}
        self.console = console()
        self.live = (
            Live(console=self.console, refresh_per_second=4, transient=True)
            if sys.stdout.isatty()
            else None
        )

    def __enter__(self) -> Board:
        if self.live is not None:
            self.live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.live is not None:
            self.live.__exit__(kind, error, trace)

    def on_end(self, task: Task, status: str, more: bool) -> None:
        """A task ended; ``more`` of its job may follow."""
        self.state(task.job)
        if status in STATUSES:  # not if it will be tried again
            self.ended += not more
            self.ahead.on_end(task, more)
        word = f"{task.stages[-1]} done" if more and status == "done" else status
        numbers = live(self.values.get(task.job.job_id, {}))
        text = f"[{self.ended}/{self.total}] {name(task.job)} {word}"
        self.say(text, numbers)

    def on_poll(self, running: Sequence[Job]) -> None:
        """Redraws the table; without a terminal, a line per job now and then."""
        if self.live is None and time.monotonic() - self.said < SAY_S:
            return
        self.said = time.monotonic()
        states = {job.job_id: self.state(job) for job in running}
        left = f"{self.ended} of {self.total} jobs done"
        if time_left := self.ahead.words(states):
            left += f", {time_left} left"
        if self.live is not None:
            self.live.update(self.table(running, states, left))
            return
        for job in running:
            if state := states[job.job_id]:
                text = f"{name(job)} {state['stage']} {state['done']}/{state['total']}"
                words = live(state["values"]), self.warning(job, state)
                self.say(text, ", ".join(filter(None, words)))
        self.say(left)

    def say(self, *texts: str) -> None:
        """Prints a line; a terminal wraps it between words."""
        line = ": ".join(filter(None, texts))
        self.console.print(line, soft_wrap=self.live is None)

    def table(
        self, running: Sequence[Job], states: Mapping[str, dict[str, Any]], caption: str
    ) -> Table:
        """Running jobs; in a narrow terminal their names wrap, not their numbers."""
        table = Table(box=None, pad_edge=False, caption=caption, caption_justify="left")
        table.add_column("job")
        for column in ("stage", "error", "perplexity\n/ K"):
            table.add_column(column, justify="left" if column == "stage" else "right", no_wrap=True)
        table.add_column("", min_width=len("COLLAPSED"))
        for job in running:
            table.add_row(name(job), *self.cells(job, states[job.job_id]))
        return table

    def cells(self, job: Job, state: dict[str, Any]) -> tuple[str, str, str, str]:
        """Of a running job: stage and share of it, error, perplexity / K, what is the matter."""
        if not state:
            return "starting", "", "", ""
        values = self.values[job.job_id]
        share = percent(state["done"] / max(state["total"], 1), 0)
        errors = [f"{values[error]:.3g}" for error in ERRORS if error in values]
        relative = values.get("relative_perplexity")
        words = "COLLAPSED" * (values.get("collapsed", 0) > 0), self.warning(job, state)
        return (
            f"{state['stage']} {share}",
            "".join(errors[:1]),
            "" if relative is None else percent(relative),
            ", ".join(filter(None, words)),
        )

    def state(self, job: Job) -> dict[str, Any]:
        """What a job last said of itself; its numbers stay when a later stage has others."""
        state = progress(job_folder(self.results, job.job_id))
        if state:
            self.values.setdefault(job.job_id, {}).update(state["values"])
        return state

    def warning(self, job: Job, state: dict[str, Any]) -> str:
        """A word when a codebook is collapsing before one's eyes."""
        now = state["values"].get("perplexity")
        if now is None or state["stage"] != "train":
            return ""
        best, step = self.best.get(job.job_id, (0.0, 0))
        if now >= best:
            self.best[job.job_id] = (now, state["done"])
            return ""
        return collapsing(best, step, now)


def name(job: Job) -> str:
    """One job in a few words."""
    size = f"{job.codebook_size}×{job.code_dim}"
    words = [job.label, job.settings_label, job.dataset, size, f"seed {job.seed}"]
    return " ".join(word for word in words if word)
