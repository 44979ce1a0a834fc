"""The files of the table ``runs``, one per attempt at a stage, and what their names say.

``<job_id>.<stage>.<stage_id>.<status>.parquet``, the status of an attempt without a final result
followed by ``-<run_id>``: a final result has one place, and its file's name is the commit. The
other tables' files are named by job, stage and stage id alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collapsebench.results import tables

Finished = Mapping[tuple[str, str], str]


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


def attempts(results: Path, job_id: str = "") -> Iterator[Attempt]:
    """The attempts at all jobs' stages, or at those of one; foreign files are passed over."""
    for path in (results / "runs").glob(f"{job_id or '*'}.*.*.*.parquet"):
        job, stage, stage_id, *rest = path.name.split(".")
        if len(rest) == 2:
            yield Attempt(job, stage, stage_id, rest[0].partition("-")[0])


def finished(results: Path) -> Finished:
    """(job_id, stage_id) -> final status."""
    return {(a.job_id, a.stage_id): a.status for a in attempts(results) if a.final}
