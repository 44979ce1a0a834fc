"""What ``run`` shows while it works: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.live import Live
from rich.table import Table

from collapsebench.launch.tasks import Task
from collapsebench.monitor.causes import collapsing
from collapsebench.plan.job import Job
from collapsebench.quantities import duration, live
from collapsebench.results.folder import job_folder, progress
from collapsebench.results.tables import STATUSES
from collapsebench.settings import console

SAY_S = 60.0  # between two lines about running jobs where there is no terminal


class Board:
    """Follows a run; use as a context manager."""

    def __init__(self, todo: Sequence[Task], results: Path):
        self.results, self.total, self.ended = results, len(todo), 0
        self.began = self.said = time.monotonic()
        self.best: dict[str, tuple[float, int]] = {}
        self.console = console()
        self.live = (
            Live(console=self.console, refresh_per_second=4) if sys.stdout.isatty() else None
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

    def on_end(self, job: Job, status: str) -> None:
        """A job's task ended."""
        self.ended += status in STATUSES  # not if it will be tried again
        state = progress(job_folder(self.results, job.job_id))
        text = f"[{self.ended}/{self.total}] {name(job)} {status} {values(state)}".rstrip()
        self.console.print(f"{text}  {self.eta()}", soft_wrap=True)

    def on_poll(self, running: Sequence[Job]) -> None:
        """Redraws the table; without a terminal, a line per job now and then."""
        if self.live is None:
            self._say(running)
            return
        table = Table(box=None, pad_edge=False)
        for column in ("job", "stage", "progress", "state"):
            table.add_column(column, no_wrap=column == "job")
        for job in running:
            state = progress(job_folder(self.results, job.job_id))
            share = f"{state['done']}/{state['total']}" if state else "starting"
            more = values(state) + self.warning(job, state)
            table.add_row(name(job), state.get("stage", ""), share, more)
        table.caption = f"{self.ended} of {self.total} tasks done, {self.eta()}"
        self.live.update(table)

    def _say(self, running: Sequence[Job]) -> None:
        if time.monotonic() - self.said < SAY_S:
            return
        self.said = time.monotonic()
        for job in running:
            state = progress(job_folder(self.results, job.job_id))
            if state:
                text = f"{name(job)} {state['stage']} {state['done']}/{state['total']}"
                more = values(state) + self.warning(job, state)
                self.console.print(f"{text} {more}", soft_wrap=True)

    def eta(self) -> str:
        """Time left, from the tasks that ended."""
        if not self.ended or self.ended == self.total:
            return ""
        left = (time.monotonic() - self.began) / self.ended * (self.total - self.ended)
        return f"about {duration(left)} left"

    def warning(self, job: Job, state: dict[str, Any]) -> str:
        """A word when a codebook is collapsing before one's eyes."""
        now = state.get("values", {}).get("perplexity")
        if now is None or state.get("stage") != "train":
            return ""
        best, step = self.best.get(job.job_id, (0.0, 0))
        if now >= best:
            self.best[job.job_id] = (now, state["done"])
            return ""
        words = collapsing(best, step, now)
        return f"  {words}" if words else ""


def name(job: Job) -> str:
    """One job in a few words."""
    size = f"{job.codebook_size}×{job.code_dim}"
    words = [job.label, job.settings_label, job.dataset, size, f"seed {job.seed}"]
    return " ".join(word for word in words if word)


def values(state: dict[str, Any]) -> str:
    """The last numbers of a job."""
    return live(state.get("values", {}))
