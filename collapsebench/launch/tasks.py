"""What is to be run, in which order, where, and what is tried again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from collapsebench.plan.job import Job, finished, harmed, pending
from collapsebench.results import copies, provenance
from collapsebench.results.folder import job_folder
from collapsebench.results.runs import standing
from collapsebench.settings import STAGES

FIRST = ("train", "encode")  # breadth first: every cell through these, then the rest


@dataclass(frozen=True)
class Task:
    """Some stages of one job.

    Attributes:
        attempts: how often it failed before.
        alone: to be run while nothing else runs here.
    """

    job: Job
    stages: tuple[str, ...]
    attempts: int = 0
    alone: bool = False


@dataclass(frozen=True)
class Slot:
    """A share of the machine: processor threads, and a GPU or "" for none."""

    threads: int
    gpu: str = ""


def tasks(jobs: Sequence[Job], results: Path) -> list[Task]:
    """What is missing or was damaged, breadth first: train and encode of every cell first."""
    done = finished(results)
    missing = [(job, {*pending(job, done), *harmed(job, results, done)}) for job in jobs]
    todo = []
    for wanted in (lambda stage: stage in FIRST, lambda stage: stage not in FIRST):
        for job, stages in missing:
            if chosen := tuple(stage for stage in STAGES if stage in stages and wanted(stage)):
                todo.append(Task(job, chosen))
    return todo


def jobs_of(todo: Sequence[Task]) -> str:
    """How many jobs tasks belong to, in words: "1 job", "12 jobs"."""
    count = len({task.job.job_id for task in todo})
    return f"{count} job{'s' * (count != 1)}"


def recover(jobs: Sequence[Job], results: Path) -> None:
    """Writes rows that the tables lost again from the jobs' folders, and says so.

    What is lost there, too, will be run again.
    """
    ids = {job.job_id for job in jobs}
    done = finished(results, ids)
    unfinished = [job for job in jobs if pending(job, done)]
    folders = [job_folder(results, job.job_id) for job in unfinished]
    files = [why for job in jobs for why in harmed(job, results, done).values()]
    if files:
        print(
            f"files that their stages make anew: {'; '.join(files[:5])}{' ...' * (len(files) > 5)}"
        )
    written = [path.parent.name for folder in folders for path in copies.publish(results, folder)]
    if written:
        print(f"rows that were missing or damaged, written again: {_counted(written)}")
    gone = [table for tables in standing(results, ids).lost.values() for table in tables]
    if gone:
        print(f"rows that are missing or damaged, to be measured again: {_counted(gone)}")


def _counted(tables: Sequence[str]) -> str:
    return ", ".join(f"{count} in {table}" for table, count in sorted(Counter(tables).items()))


def slots(count: int, gpus: Sequence[str] = (), per_gpu: int = 1) -> list[Slot]:
    """Slots over GPUs, ``per_gpu`` each, or ``count`` shares of the processor."""
    if gpus:
        places = [gpu for _ in range(per_gpu) for gpu in gpus]
        share = max(1, provenance.cores() // len(places))
        return [Slot(share, gpu) for gpu in places]
    return [Slot(max(1, provenance.cores() // count))] * count


def again(task: Task, failure: str, retries: int) -> Task | None:
    """What to try after a failure, if anything.

    Too little memory, and death by a signal (what the system does to the largest process when
    memory ends), are tried once more with nothing beside them; errors and time-outs ``retries``
    times; what diverged or was stopped by a person, never.

    Args:
        failure: a status, or ``killed``.
    """
    following = replace(task, attempts=task.attempts + 1)
    if failure in ("out_of_memory", "killed"):
        return None if task.alone else replace(following, alone=True)
    if failure in ("error", "timeout") and task.attempts < retries:
        return following
    return None
