"""Jobs and commands in processes that start in no time: forked by a server with torch loaded.

A command is forked by the server, and what it starts is forked by the command: a process of a
server has no server but one of its own, which loads torch anew.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path

import pandas as pd

from collapsebench import cli
from collapsebench.job import apart
from collapsebench.job.order import Order
from collapsebench.job.process import main
from collapsebench.launch.launchers import local
from collapsebench.results import provenance, tables
from collapsebench.results.folder import LOG

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["collapsebench.job.runner", "collapsebench.methods.vq_vae", "collapsebench.fidelity",
     "collapsebench.launch.start", "torch._dynamo"]  # the last is what an optimizer loads
)  # fmt: skip


def start(folder: Path, data_root: Path, **order: float) -> BaseProcess:
    """A process of its own that runs a job on one thread, and as ``order`` says."""
    Order(threads=1, data_root=data_root, **order).write(folder)
    process = CONTEXT.Process(target=_job, args=(folder, {}))
    process.start()
    return process


def _job(folder: Path, environment: dict[str, str]) -> None:
    os.setsid()
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        if callable(signal.getsignal(number)):  # of who forked it; a new program has none either
            signal.signal(number, signal.SIG_DFL)
    os.environ |= environment
    _print_to(folder / LOG)
    raise SystemExit(main(folder))


def _print_to(path: Path) -> None:
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)


class Forked:
    """A process with what its launcher asks of one that ``subprocess`` started."""

    def __init__(self, context: BaseContext, target: Callable[..., None], *arguments: object):
        self.process: BaseProcess = context.Process(target=target, args=arguments)
        self.process.start()
        assert self.process.pid is not None
        self.pid, self.kill = self.process.pid, self.process.kill

    @property
    def returncode(self) -> int | None:
        return self.process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)


def spawn(
    folder: Path, order: Order, environment: dict[str, str], context: BaseContext = CONTEXT
) -> Forked:
    """``process.spawn`` by the server, or by this process itself."""
    order.write(folder)
    return Forked(context, _job, folder, environment)


class Command(Forked):
    """A command as a person starts it in ``folder``; its jobs are forked, too."""

    def __init__(self, words: tuple[str, ...], folder: Path, environment: dict[str, str]):
        self.output = folder / f"said-{time.monotonic_ns()}.txt"
        super().__init__(CONTEXT, _command, words, folder, environment, self.output)

    def said(self) -> str:
        """All that it printed, once it has ended."""
        ended(self.process)
        return self.output.read_text()


def _command(
    words: tuple[str, ...], folder: Path, environment: dict[str, str], output: Path
) -> None:
    os.chdir(folder)
    os.environ |= environment
    _print_to(output)
    sys.argv = ["collapsebench", *words]
    provenance.cores = lambda: 1  # threads of a job
    fork = multiprocessing.get_context("fork")
    local.spawn = functools.partial(spawn, context=fork)
    apart.multiprocessing.get_context = lambda method: fork
    cli.main()


def ended(process: BaseProcess) -> int:
    """Its exit code."""
    process.join(600)  # a machine may be busy with other things
    assert process.exitcode is not None
    return process.exitcode


def numbers(results: Path) -> pd.DataFrame:
    """What was measured, in an order of its own."""
    found = tables.read(results, "metrics")
    keys = ["job_id", "stage", "split", "metric", "protocol"]
    return found.sort_values(keys).reset_index(drop=True)


def assert_committed_once(results: Path) -> None:
    """One final row per stage, no file that cannot be read, nothing left half-written."""
    runs = tables.read(results, "runs")
    final = runs[runs["status"].isin(tables.FINAL)]
    assert not final.duplicated(["job_id", "stage"]).any()
    for table in tables.SCHEMAS:
        tables.read(results, table)  # warns, which is an error here, about a torn file
