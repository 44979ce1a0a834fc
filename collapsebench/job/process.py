"""The process of one job: what every launcher starts."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from collapsebench.job.stop import Stop
from collapsebench.plan.job import Job
from collapsebench.results import provenance, tables
from collapsebench.results.claims import Taken
from collapsebench.results.folder import LOG, THREADS
from collapsebench.settings import STAGES

CHECKPOINT_S = 60.0
TAKEN = 4  # exit code: somebody else works on this job
EXIT_CODES = {"done": 0, "diverged": 0, "incompatible": 0, "interrupted": 3, "timeout": 5,
              "cancelled": 6, "out_of_memory": 7, "error": 8}  # fmt: skip
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h
ALLOW_UNVERIFIED = "COLLAPSEBENCH_ALLOW_UNVERIFIED_WEIGHTS"


@dataclass(frozen=True)
class Order:
    """How to run one job; a launcher writes it as a command, the job's process reads it.

    Attributes:
        threads: of the processor; 0 = all there are.
        launcher_job: the id that the launcher's scheduler gave.
        limit_s: wall time after which the job ends as ``timeout``; 0 = none.
        wait: wait for another process that works on the job, instead of ending at once.
        parent: process id whose end ends the job, or 0.
        checkpoint_s: seconds between two checkpoints.
    """

    folder: Path
    stages: tuple[str, ...] = STAGES
    threads: int = 0
    launcher: str = "local"
    launcher_job: str = ""
    limit_s: float = 0.0
    wait: bool = False
    parent: int = 0
    checkpoint_s: float = CHECKPOINT_S

    def command(self) -> list[str]:
        """The command line of the job's process."""
        words = [sys.executable, "-m", "collapsebench", "job", str(self.folder)]
        words += ["--stages", ",".join(self.stages), "--threads", str(self.threads)]
        words += ["--launcher", self.launcher, "--launcher-job", self.launcher_job]
        words += ["--limit-s", str(self.limit_s), "--parent", str(self.parent)]
        words += ["--checkpoint-s", str(self.checkpoint_s)]
        return [*words, "--wait"] if self.wait else words


def spawn(order: Order, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Starts the job's process, its output at the end of the job's ``log.txt``."""
    with (order.folder / LOG).open("ab") as log:
        return subprocess.Popen(
            order.command(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"} | environment,
            start_new_session=True,  # Ctrl-C reaches the launcher alone; it tells the job to stop
        )


def main(order: Order) -> int:
    """Runs stages of the job in ``order.folder`` (``<results>/jobs/<id>``); returns the exit code.

    Raises:
        UserError: not a job's folder.
    """
    folder = order.folder
    job = Job.load(folder)
    stop = Stop(folder, order.limit_s, order.parent)
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
        stop=stop,
        launcher=order.launcher,
        launcher_job=order.launcher_job,
        checkpoint_every_s=order.checkpoint_s,
        allow_unverified_weights=bool(os.environ.get(ALLOW_UNVERIFIED)),
    )
    stop.lost = lambda: workspace.claim is not None and workspace.claim.lost
    try:
        status = runner.run(workspace, order.stages, wait=order.wait)
    except Taken as taken:
        print(taken, flush=True)
        return TAKEN
    except OSError as error:  # not even the row could be written; what was committed stands
        print(f"collapsebench: cannot write: {error}; run again when there is room", flush=True)
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
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        tables.replace_atomically(path, lambda p: p.write_text(str(threads)), Path.read_text)
        return threads
