"""While somebody else's code runs: what it may take, and what it may not leave behind."""

from __future__ import annotations

import builtins
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil

MEMORY = 8 * 2**30  # bytes that importing a file, or building a method once, may take up


@contextlib.contextmanager
def confined(memory: int) -> Iterator[None]:
    """While it lasts code that asks is told that nobody answers, and memory has a limit.

    Args:
        memory: bytes that this process may take up beyond what it holds now, if there are as many;
            Linux alone counts.
    """
    with _kept(), open(os.devnull) as sys.stdin, _limited(memory):
        yield


@contextlib.contextmanager
def _kept() -> Iterator[None]:
    """What a process has one of is afterwards as it was: streams, folder, signals and the like."""
    streams, folder, mask = (sys.stdin, sys.stdout, sys.stderr), Path.cwd(), os.umask(0o077)
    os.umask(mask)
    words = dict(vars(builtins))
    searched = [(places, [*places]) for places in (sys.path, sys.meta_path)]
    alarm = signal.getitimer(signal.ITIMER_REAL) if hasattr(signal, "setitimer") else None
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    try:
        yield
    finally:
        vars(builtins).update(words)
        for places, before in searched:
            places += [place for place in before if place not in places]
        sys.stdin, sys.stdout, sys.stderr = streams
        os.chdir(folder)
        os.umask(mask)
        if threading.current_thread() is threading.main_thread():  # others may set none
            for number, handler in handlers.items():
                if handler is not None and signal.getsignal(number) != handler:
                    signal.signal(number, handler)
            if alarm is not None:
                signal.setitimer(signal.ITIMER_REAL, *alarm)


@contextlib.contextmanager
def _limited(memory: int) -> Iterator[None]:
    if sys.platform != "linux":
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_DATA)
    memory = min(memory, psutil.virtual_memory().available)
    limits = [psutil.Process().memory_info().data + memory, *before]
    least = min(limit for limit in limits if limit != resource.RLIM_INFINITY)
    resource.setrlimit(resource.RLIMIT_DATA, (least, before[1]))
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # the code itself allowed less
            resource.setrlimit(resource.RLIMIT_DATA, before)
