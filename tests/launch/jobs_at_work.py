"""Jobs and commands in processes that start in no time: forked by a server with torch loaded."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pandas as pd

from collapsebench import cli
from collapsebench.job.order import Order
from collapsebench.job.process import main
from collapsebench.results import tables

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["collapsebench.job.runner", "collapsebench.methods.vq_vae", "collapsebench.fidelity"]
)


def start(folder: Path, data_root: Path, **order: float) -> BaseProcess:
    """A process of its own that runs a job on one thread, and as ``order`` says."""
    Order(threads=1, data_root=data_root, **order).write(folder)
    process = CONTEXT.Process(target=_main, args=(folder,))
    process.start()
    return process


def _main(folder: Path) -> None:
    _print_to(folder / "log.txt")
    raise SystemExit(main(folder))


def _print_to(path: Path) -> None:
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)


class Command:
    """A command as a person starts it in ``folder``, in a process of its own."""

    def __init__(self, words: tuple[str, ...], folder: Path, environment: dict[str, str]):
        self.output = folder / f"said-{time.monotonic_ns()}.txt"
        arguments = (words, folder, environment, self.output)
        self.process = CONTEXT.Process(target=_command, args=arguments)
        self.process.start()

    def said(self) -> str:
        """All that it printed, once it has ended."""
        ended(self.process)
        return self.output.read_text()

    @property
    def returncode(self) -> int | None:
        return self.process.exitcode

    def send_signal(self, number: int) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, number)


def _command(
    words: tuple[str, ...], folder: Path, environment: dict[str, str], output: Path
) -> None:
    os.chdir(folder)
    os.environ |= environment
    _print_to(output)
    sys.argv = ["collapsebench", *words]
    cli.main()


def ended(process: BaseProcess) -> int:
    """Its exit code."""
    process.join(240)
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
