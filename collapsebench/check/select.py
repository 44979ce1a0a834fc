"""Which rows stand for a grid, a results folder or a tag."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from collapsebench.check.rows import CELL, CellKey
from collapsebench.results import baselines, grids, tables
from collapsebench.results.repeats import repeats
from collapsebench.results.runs import StageKey, last, standing
from collapsebench.settings import UserError

RUN_CELL = CELL[:-1]  # a cell as ``runs`` knows it, without a protocol


@dataclass(frozen=True)
class Selection:
    """Rows of the tables that a check reads.

    Attributes:
        name: what the user called it.
        grid: what ``run`` wrote of the grid; {} for a tag or several grids.
    """

    name: str
    metrics: pd.DataFrame
    runs: pd.DataFrame
    grid: Mapping[str, Any]


def of_tag(tag: str, given: Path | None = None) -> Selection:
    """The rows of a baseline.

    Raises:
        UserError: no such baseline, or a damaged one.
    """
    folder = baselines.find(tag, given)
    baselines.manifest(folder)
    return Selection(tag, tables.read(folder, "metrics"), tables.read(folder, "runs"), {})


def of_grid(results: Path, name: str) -> Selection:
    """The rows of a grid as it was last run in a results folder.

    Raises:
        UserError: it was not run there, or its record is damaged.
    """
    grid = grids.read(results, name)
    return _of_jobs(f"{results} ({name})", results, grid, grid["jobs"])


def of_folder(results: Path) -> Selection:
    """The rows of all grids that were run in a results folder.

    Raises:
        UserError: none was, or two configurations carry the same name.

    Warns:
        UserWarning: for each grid whose record is damaged.
    """
    found = grids.every(results)
    if not found:
        raise UserError(
            f"{results}: neither a baseline's tag nor a folder where grids were run; what rows of "
            "one folder have in common is written like method=edvae"
        )
    jobs = {job["job_id"]: job for grid in found for job in grid["jobs"]}
    selection = _of_jobs(str(results), results, found[0] if len(found) == 1 else {}, jobs.values())
    configurations = selection.metrics.drop_duplicates([*CELL, "config_id"])
    if (twice := configurations[configurations.duplicated(CELL)]).size:
        raise UserError(f"{results}: two configurations of {twice['label'].iloc[0]!r} in one cell")
    return selection


def current(frame: pd.DataFrame, jobs: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """The rows of these jobs' stages with the settings that the grid now has."""
    wanted = {(job["job_id"], stage_id) for job in jobs for stage_id in job["stage_ids"].values()}
    pairs = zip(frame["job_id"], frame["stage_id"], strict=True)
    return frame[np.fromiter((pair in wanted for pair in pairs), bool, len(frame))]


def lost(results: Path, jobs: Iterable[Mapping[str, Any]]) -> list[StageKey]:
    """What was done of these jobs' stages, and is not in all its tables any more."""
    wanted = {(job["job_id"], stage_id) for job in jobs for stage_id in job["stage_ids"].values()}
    return [key for key in standing(results, {key[0] for key in wanted}).lost if key in wanted]


def diverged(runs: pd.DataFrame) -> Counter[CellKey]:
    """Cell without its protocol -> how many of its seeds diverged."""
    ended = last(runs)
    jobs = ended[ended["status"] == "diverged"].drop_duplicates("job_id")
    return Counter(jobs[RUN_CELL].itertuples(index=False, name=None))


def refuse_repeats(selection: Selection) -> None:
    """Raises ``UserError`` if two jobs of a cell are one training."""
    for job, other in repeats(selection.metrics).items():
        row = selection.metrics[selection.metrics["job_id"] == job].iloc[0]
        raise UserError(
            f"{selection.name}: jobs {other} and {job} ({row['label']} on {row['dataset']}, seed "
            f"{row['seed']}) are one training counted twice: the same seed or the same numbers to "
            "the last digit"
        )


def _of_jobs(
    name: str, results: Path, grid: Mapping[str, Any], jobs: Iterable[Mapping[str, Any]]
) -> Selection:
    jobs = list(jobs)
    ids = {job["job_id"] for job in jobs}
    if lacking := lost(results, jobs):
        text = f"{results}: tables lack the rows of {len(lacking)} stages; run makes them anew"
        warnings.warn(text, stacklevel=3)
    metrics, runs = (
        current(tables.read(results, table, jobs=ids), jobs) for table in ("metrics", "runs")
    )
    return Selection(name, metrics, runs, grid)
