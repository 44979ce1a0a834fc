"""When to stop: a signal, a time limit, a cancelled job."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from collapsebench.results.folder import CANCEL

LOOK_S = 1.0  # between two looks for that file


class Signals:
    """Counts SIGINT and SIGTERM instead of dying of them; use as a context manager."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> Signals:
        kinds = (signal.SIGTERM, signal.SIGINT)
        self.before = {kind: signal.signal(kind, self._add) for kind in kinds}
        return self

    def __exit__(self, *_: object) -> None:
        for kind, handler in self.before.items():
            signal.signal(kind, handler)

    def _add(self, number: int, frame: FrameType | None) -> None:
        self.count += 1


class Stop:
    """Asked at each step of a job: the status to end with, or "" to go on.

    The first SIGTERM or SIGINT asks the work to end at its next step, its checkpoint written; a
    second one ends the process at once.

    Args:
        folder: the job's; a file ``cancel`` in it ends the job as ``cancelled``.
        limit_s: wall time after which the job ends as ``timeout``.
        parent: process id without which the job must not go on, or 0.
    """

    def __init__(
        self,
        folder: Path,
        limit_s: float | None = None,
        parent: int = 0,
        lost: Callable[[], bool] = lambda: False,
    ):
        self.folder, self.parent, self.lost = folder, parent, lost
        self.end = time.monotonic() + limit_s if limit_s else None
        self.looked = 0.0
        self.status = ""
        for kind in (signal.SIGTERM, signal.SIGINT):
            signal.signal(kind, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.status = self._cancelled() or "interrupted"
        for kind in (signal.SIGTERM, signal.SIGINT):
            signal.signal(kind, signal.SIG_DFL)

    def __call__(self) -> str:
        """``interrupted``, ``timeout``, ``cancelled``, or "" to go on."""
        now = time.monotonic()
        if not self.status and self.end is not None and now > self.end:
            self.status = "timeout"
        if not self.status and now - self.looked > LOOK_S:
            self.looked = now
            orphan = self.parent and os.getppid() != self.parent
            self.status = self._cancelled() or ("interrupted" if orphan or self.lost() else "")
        return self.status

    def _cancelled(self) -> str:
        return "cancelled" if (self.folder / CANCEL).exists() else ""
