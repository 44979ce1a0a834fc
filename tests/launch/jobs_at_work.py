"""Jobs in processes that start in no time: a server that has loaded torch forks them."""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing.process import BaseProcess
from pathlib import Path

import pandas as pd

from collapsebench.job.order import Order
from collapsebench.job.process import main
from collapsebench.results import tables

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["collapsebench.job.runner", "collapsebench.methods.vq_vae"])


def start(folder: Path, data_root: Path, **order: float) -> BaseProcess:
    """A process of its own that runs a job on one thread, and as ``order`` says."""
    Order(threads=1, data_root=data_root, **order).write(folder)
    process = CONTEXT.Process(target=_main, args=(folder,))
    process.start()
    return process


def _main(folder: Path) -> None:
    log = os.open(folder / "log.txt", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    raise SystemExit(main(folder))


def ended(process: BaseProcess) -> int:
    """Its exit code."""
    process.join(120)
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
