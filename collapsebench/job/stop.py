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
STANDARD = (0, 1, 2)  # file descriptors


HANGUP: int = getattr(signal, "SIGHUP", 0)  # the terminal was closed; 0 where there is none


def endings() -> list[int]:
    """Signals that ask a process to end; that of a closed terminal unless nohup ignores it."""
    heard = HANGUP and signal.getsignal(HANGUP) != signal.SIG_IGN
    return [signal.SIGTERM, signal.SIGINT, *([HANGUP] if heard else [])]


class Signals:
    """Counts signals of ``endings`` instead of dying of them; use as a context manager.

    A closed terminal counts once, however many say so; what is printed after it goes nowhere. It
    is also noticed where the signal went to another process, as to a ``make`` that the terminal
    was opened for.
    """

    def __init__(self) -> None:
        self.told = 0

    @property
    def count(self) -> int:
        """How many there were until now."""
        if not all(map(os.isatty, self.terminals)):
            self._add(HANGUP, None)
        return self.told

    def __enter__(self) -> Signals:
        self.terminals = [fd for fd in STANDARD if os.isatty(fd)]
        self.before = {kind: signal.signal(kind, self._add) for kind in endings()}
        return self

    def __exit__(self, *_: object) -> None:
        for kind, handler in self.before.items():
            signal.signal(kind, handler)

    def _add(self, number: int, frame: FrameType | None) -> None:
        if number != HANGUP:
            self.told += 1
            return
        self.told = max(self.told, 1)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for fd in self.terminals:
            os.dup2(nowhere, fd)
        os.close(nowhere)
        self.terminals = []


class Stop:
    """Asked at each step of a job: the status to end with, or "" to go on.

    The first signal of ``endings`` asks the work to end at its next step, its checkpoint written; a
    second one ends the process at once, unless it is the terminal's again.

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
        self.kinds = endings()
        for kind in self.kinds:
            signal.signal(kind, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.status = self._cancelled() or "interrupted"
        for kind in self.kinds:
            signal.signal(kind, signal.SIG_IGN if kind == HANGUP else signal.SIG_DFL)

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
