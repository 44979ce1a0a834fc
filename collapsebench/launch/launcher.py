"""What a launcher must offer, and how one is found: a file of ``launchers``, or an entry point.

A launcher starts ``collapsebench job DIR`` for each task somewhere and sees to it that it ends, or
queues it there and returns. What the job is to know lies in its folder then, as an ``Order``.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from collapsebench.job.order import Order
from collapsebench.launch import devices, site
from collapsebench.launch.tasks import Task
from collapsebench.plan import registry
from collapsebench.results import disk
from collapsebench.results.folder import job_folder, read_json
from collapsebench.settings import UserError, did_you_mean

QUEUED = "queued.json"  # in a job's folder: launcher -> the ids under which it ever queued the job


@dataclass(frozen=True)
class Options:
    """How to run; none of it is part of an id.

    Attributes:
        order: what every job is told.
        slots: jobs at a time on the processor; None = one a core, at most 4.
        gpus: which GPUs, as CUDA numbers them.
        until: ``time.time()`` after which nothing more is started; None = no end.
        retries: how often an error or a time-out is tried again.
        fail_fast: start nothing more after a first failure.
        wait: stay until what was queued has ended.
    """

    order: Order = field(default_factory=Order)
    slots: int | None = None
    gpus: tuple[str, ...] = field(default_factory=devices.gpus)
    jobs_per_gpu: int = 1
    until: float | None = None
    retries: int = 0
    fail_fast: bool = False
    launcher: str = "local"
    wait: bool = False
    dry_run: bool = False
    yes: bool = False
    debug: bool = False


class Launcher:
    """Base of every launcher: a subclass writes ``run``, one that queues jobs also the rest.

    Class attributes:
        label: the printed name of its queue, "Slurm".

    Attributes:
        name: the CLI word, the value of the column ``launcher``, the table in the site's file.
        results: the results folder.
    """

    label: ClassVar[str] = ""

    @dataclass(frozen=True)
    class Settings:
        """What a site says of the launcher: a table of its name in ``collapsebench.toml``."""

    def __init__(self, name: str, results: Path):
        self.name, self.results = name, results

    @functools.cached_property
    def settings(self) -> Any:
        """The site's, an instance of ``Settings``."""
        return site.load(self.results, self.name, self.Settings)

    def run(self, title: str, todo: Sequence[Task], options: Options) -> dict[str, str]:
        """Sees tasks through or queues them; returns job_id -> last status, or "queued".

        Args:
            title: what to call the whole in what is printed.
            todo: in order; a later task of a job may not start before an earlier one is done.
            options: limits, retries and what jobs are told.
        """
        raise NotImplementedError(f"{type(self).__name__} must define run(title, todo, options)")

    def scripts(self, todo: Sequence[Task]) -> str:
        """What would be submitted, for ``--dry-run``."""
        return ""

    def forecast(self, todo: Sequence[Task]) -> str:
        """What each part of its queue would take, a line each."""
        return ""

    def active(self, ids: Collection[str]) -> set[str]:
        """Those of the ids given to ``note_queued`` that still wait or run."""
        return set()

    def cancel(self, ids: Collection[str]) -> None:
        """Ends what waits or runs under these ids, if anything does."""

    def note_queued(self, folder: Path, queued_id: str) -> None:
        """Writes down that a job is queued, so that nobody else starts it while it is."""
        noted = queued(folder)
        noted[self.name] = [*noted.get(self.name, ()), queued_id]
        disk.write_json(folder / QUEUED, noted)


def find(name: str, results: Path) -> Launcher:
    """The launcher of a name.

    Raises:
        UserError: there is none (with a did-you-mean).
    """
    if name not in (known := registry.names("launchers")):
        raise UserError(f"unknown launcher {name!r}{did_you_mean(name, known)}")
    cls: type[Launcher] = registry.only_subclass(registry.find("launchers", name), Launcher)
    return cls(name, results)


def queued(folder: Path) -> dict[str, list[str]]:
    """Launcher -> the ids under which it ever queued the job of this folder."""
    noted = read_json(folder / QUEUED, {})
    return {
        name: [queued_id for queued_id in ids if isinstance(queued_id, str)]
        for name, ids in noted.items()
        if isinstance(ids, list)
    }


def without_queued(todo: Sequence[Task], results: Path) -> list[Task]:
    """Tasks whose job is in no launcher's queue; says how many were left out.

    Raises:
        UserError: jobs are queued by a launcher that cannot be asked from here.
    """
    left = list(todo)
    noted = {task.job.job_id: queued(job_folder(results, task.job.job_id)) for task in todo}
    for name in sorted({name for ids in noted.values() for name in ids}):
        if name not in registry.names("launchers"):
            raise UserError(
                f"jobs are queued by {name!r}, a launcher that is not installed here; "
                "`collapsebench cancel JOB` forgets them"
            )
        launcher = find(name, results)
        own = {job_id: set(ids.get(name, ())) for job_id, ids in noted.items()}
        active = launcher.active(set().union(*own.values()))
        free = [task for task in left if not active & own[task.job.job_id]]
        if len(free) < len(left):
            print(f"{len(left) - len(free)} tasks are queued in {launcher.label or name} already")
        left = free
    return left


def cancel(folder: Path) -> bool:
    """Takes a job out of all queues; whether it was put in one."""
    noted = queued(folder)
    for name, ids in noted.items():
        if name in registry.names("launchers"):
            find(name, folder.parent.parent).cancel(ids)
    (folder / QUEUED).unlink(missing_ok=True)
    return bool(noted)
