"""The process of one job: what every launcher starts."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from collapsebench.job.order import Order
from collapsebench.job.stop import Stop
from collapsebench.plan import userfile
from collapsebench.plan.job import Job
from collapsebench.results import disk, provenance
from collapsebench.results.claims import Taken
from collapsebench.results.folder import LOG, THREADS, set_aside
from collapsebench.settings import system_reason

TAKEN = 4  # exit code: somebody else works on this job
EXIT_CODES = {"done": 0, "diverged": 0, "incompatible": 0, "interrupted": 3, "timeout": 5,
              "cancelled": 6, "out_of_memory": 7, "error": 8}  # fmt: skip
MOST_THREADS = 1024  # of a job; a larger number is damage
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h


def command(folder: Path) -> list[str]:
    """The command line of a job's process."""
    return [sys.executable, "-m", "collapsebench", "job", str(folder)]


def spawn(folder: Path, order: Order, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Starts the job's process under an order, its output at the end of the job's ``log.txt``."""
    order.write(folder)
    with (folder / LOG).open("ab") as log:
        return subprocess.Popen(
            command(folder),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"} | environment,
            start_new_session=True,  # Ctrl-C reaches the launcher alone; it tells the job to stop
        )


def main(folder: Path) -> int:
    """Runs the job in ``<results>/jobs/<id>`` as it was ordered; returns the exit code.

    Raises:
        UserError: not a job's folder, or an order that cannot be read.
    """
    job, order = Job.load(folder), Order.read(folder)
    userfile.expendable()
    stop = Stop(folder, order.limit_s, os.getppid() if order.bound else 0)
    # Slurm warns every process of a step; the array element passes it on to us as SIGTERM.
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    threads = first_threads(folder, order.threads or provenance.cores())
    keep_freed_memory()

    import torch

    from collapsebench.job import runner
    from collapsebench.job.workspace import Workspace

    torch.set_num_threads(threads)
    workspace = Workspace(
        job=job,
        folder=folder,
        results=folder.parent.parent,
        device=torch.device("cuda" if torch.cuda.is_available() else "cpu"),
        threads=threads,
        order=order,
        stop=stop,
    )
    stop.lost = lambda: workspace.claim is not None and workspace.claim.lost
    try:
        status = runner.run(workspace, order.stages, wait=order.wait)
    except Taken as taken:
        print(taken, flush=True)
        return TAKEN
    except OSError as error:  # not even the row could be written; what was committed stands
        said = system_reason(error)
        print(f"collapsebench: cannot write: {said}; run again when that is mended", flush=True)
        return EXIT_CODES["error"]
    return EXIT_CODES[status]


def keep_freed_memory() -> None:
    """Lets this process reuse the memory of large tensors; does nothing without glibc.

    By default glibc returns every block over 32 MiB to the kernel and gets it back page by page,
    zeroed: a sixth of a training step of EdVAE at the paper's width.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, -1)  # never


def first_threads(folder: Path, threads: int) -> int:
    """The number of threads of the job's first start: a resumed run must round as it began."""
    path = folder / THREADS
    written = path.read_text(errors="replace").strip() if path.is_file() else ""
    if re.fullmatch(r"\d{1,4}", written) and 0 < int(written) <= MOST_THREADS:
        return int(written)
    if os.path.lexists(path):
        set_aside(path, "no number of threads")
    disk.replace_atomically(path, lambda p: p.write_text(str(threads)), Path.read_text)
    return threads
