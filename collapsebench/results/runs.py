"""The files of the table ``runs``, one per attempt at a stage, and what their names say.

``<job_id>.<stage>.<stage_id>.<status>.parquet``, the status of an attempt without a final result
followed by ``-<run_id>``: a final result has one place, and its file's name is the commit. The
other tables' files are named by job, stage and stage id alone.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collapsebench.results import copies, tables
from collapsebench.results.copies import Copy
from collapsebench.results.folder import job_folder
from collapsebench.results.tables import Compacted

if TYPE_CHECKING:
    import pandas as pd

StageKey = tuple[str, str]  # job_id, stage_id
Finished = Mapping[StageKey, str]
Lost = Mapping[StageKey, Sequence[str]]

# The tables that a stage which is done has rows in.
TABLES = {
    "train": ("curves",),
    "encode": ("metrics", "codes"),
    "prior": ("metrics",),
    "sample": ("metrics",),
    "score": ("metrics", "protocols"),
}


@dataclass(frozen=True)
class Attempt:
    """What the name of a file in ``runs`` says."""

    job_id: str
    stage: str
    stage_id: str
    status: str

    @property
    def final(self) -> bool:
        """Whether it is a result, so that the stage does not run again."""
        return self.status in tables.FINAL


def rows_name(key: Mapping[str, Any]) -> str:
    """What the files of a stage's rows are called, without suffix; ``key`` as in its rows."""
    return f"{key['job_id']}.{key['stage']}.{key['stage_id']}"


def run_name(key: Mapping[str, Any], status: str, run_id: str) -> str:
    """What the file of an attempt is called, without suffix."""
    end = status if status in tables.FINAL else f"{status}-{run_id}"
    return f"{rows_name(key)}.{end}"


def attempts(results: Path, jobs: Collection[str] | None = None) -> Iterator[Attempt]:
    """The attempts at jobs' stages, all or some jobs'; foreign files are passed over.

    Of compacted files it is their rows that say so.
    """
    folder = results / "runs"
    names = os.listdir(folder) if folder.is_dir() else []  # quicker than a pattern
    for name in (name for name in names if name.endswith(tables.SUFFIX)):
        parts = name.removesuffix(tables.SUFFIX).split(".")
        job_id, stage, stage_id, status, *rest = [*parts, "", "", ""]
        if status and not any(rest) and (jobs is None or job_id in jobs):
            yield Attempt(job_id, stage, stage_id, status.partition("-")[0])
    for path in tables.compacted(results / "runs"):
        yield from (a for a in _compacted(path) if jobs is None or a.job_id in jobs)


def _compacted(path: Path) -> list[Attempt]:
    columns = tables.columns(path, ["job_id", "stage", "stage_id", "status"])
    return [] if columns is None else [Attempt(*values) for values in zip(*columns, strict=True)]


@dataclass(frozen=True)
class Standing:
    """How far jobs are, by the rows that are there.

    Attributes:
        finished: final status of stages whose rows are all there.
        lost: of stages whose rows were all there once, the tables that lack them.
    """

    finished: Finished
    lost: Lost


def standing(results: Path, jobs: Collection[str] | None = None) -> Standing:
    """What is done of all jobs or of some, every table compared with what was done."""
    final = [attempt for attempt in attempts(results, jobs) if attempt.final]
    ids = {attempt.job_id for attempt in final}
    folders = {job_id: job_folder(results, job_id) for job_id in ids}
    own = {job_id: list(copies.copies(folder)) for job_id, folder in folders.items()}
    compacted = Compacted(results)
    done: dict[StageKey, str] = {}
    lost: dict[StageKey, list[str]] = {}
    for a in final:
        if lacking := lacks(folders[a.job_id], a, own[a.job_id], compacted):
            lost[a.job_id, a.stage_id] = lacking
        else:
            done[a.job_id, a.stage_id] = a.status
    return Standing(done, {key: lacking for key, lacking in lost.items() if key not in done})


def finished(results: Path, jobs: Collection[str] | None = None) -> Finished:
    """Final status of stages whose rows are all there."""
    return standing(results, jobs).finished


def last(frame: pd.DataFrame) -> pd.DataFrame:
    """Of rows of ``runs`` the last attempt at each job's stage, a final one before all others."""
    frame = frame.assign(final=frame["status"].isin(tables.FINAL))
    frame = frame.sort_values(["final", "finished_at", "attempt"]).drop(columns="final")
    return frame.drop_duplicates(["job_id", "stage"], keep="last")


def lacks(folder: Path, attempt: Attempt, own: Iterable[Copy], compacted: Compacted) -> list[str]:
    """Tables that lack rows of a stage with a final result.

    Args:
        folder: the job's.
        attempt: the result.
        own: the job's copies of its rows. Without one the file of that name must be there and
            whole, or compacted, if the table is kept here in files per job and stage.
        compacted: stages in the compacted files of the results folder.
    """
    results, key = compacted.results, (attempt.job_id, attempt.stage_id)
    name = rows_name(vars(attempt))
    kept = [copy for copy in own if copy[1].startswith(name)]
    lacking = [copy[0] for copy in kept if not copies.stands(results, folder, copy, compacted)]
    files = {"runs": f"{name}.{attempt.status}"}
    if attempt.status == "done":
        files |= dict.fromkeys(TABLES.get(attempt.stage, ()), name)
    for table in files.keys() - {table for table, _ in kept}:
        file = f"{files[table]}{tables.SUFFIX}"
        if key not in compacted[table] and not _there(results / table, file):
            lacking.append(table)
    return sorted(lacking)


def _there(folder: Path, name: str) -> bool:
    """Whether a table has a row file; one that is kept elsewhere or in other files may have."""
    if not folder.is_dir() or tables.whole(folder / name):
        return True
    rest = set(folder.glob(f"*{tables.SUFFIX}")) - set(tables.compacted(folder))
    return not all(map(tables.of_one_job, rest))
