"""Somebody else's code in a process of its own, which it may end or keep waiting."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import psutil

from collapsebench.plan import userfile
from collapsebench.plan.confined import confined


def answer(function: Callable[..., Any], *arguments: Any, limit_s: float | None = None) -> Any:
    """What a function of a module returns; None if it takes longer than ``limit_s``.

    Raises:
        EOFError: it ended its process.
    """
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(theirs, function, arguments), daemon=True)
    process.start()
    theirs.close()  # so that the end of the process is the end of the pipe
    try:
        return mine.recv() if mine.poll(limit_s) else None
    finally:
        process.kill()
        process.join()


def _send(channel: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    userfile.expendable()
    with confined(psutil.virtual_memory().available):
        channel.send(function(*arguments))
