"""Rows of the store -> jobs of one grid, each with how far it came."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from collapsebench.report.kinds import NAMES, shipped_kind
from collapsebench.report.palette import Look
from collapsebench.results import tables
from collapsebench.results.runs import Lost, last
from collapsebench.settings import STAGES

READ = {  # columns of large tables that a report needs; the others would double its time to read
    "runs": ("job_id", "comparison_id", "stage", "stage_id", "dataset", "attempt", "status",
             "message", "finished_at", "wall_s", "items_per_s", "peak_memory_bytes",
             "peak_gpu_memory_bytes", "parameters_encoder", "parameters_decoder",
             "parameters_quantizer", "implementation", "precision", "variant", "device_name",
             "launcher", "package_version", "versions", "git_sha", "git_dirty", "data_hash",
             "split_hash"),
    "curves": ("job_id", "stage_id", "step", "metric", "value"),
    "codes": ("job_id", "stage_id", "split", "codebook", "counts"),
}  # fmt: skip
NOT_RUN = "not run"
WORDY = 40  # characters of what tells two columns apart
LARGEST = 1e100  # of a value that can be drawn: its square is still a number
LOST = "rows lost"  # a stage is done, and tables lack its rows


@dataclass(frozen=True)
class JobRow:
    """One training of the grid and how far it came.

    Attributes:
        status: a status of the store, "not run" or "rows lost".
        stage: the stage that the status is about.
        message: why it is not done, or what a finished stage had to leave out.
        baseline: tag of the baseline that the rows come from, "" for rows of this results folder.
    """

    job_id: str
    config_id: str
    comparison_id: str
    method: str
    label: str
    kind: str
    network: str
    dataset: str
    codebook_size: int
    code_dim: int
    seed: int
    scale: str
    settings_label: str = ""
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    stage_ids: Mapping[str, str] = field(default_factory=dict)
    status: str = NOT_RUN
    stage: str = ""
    message: str = ""
    device: str = ""
    made_of: str = ""  # data hash and precision: rows of two never share a cell
    baseline: str = ""

    def setting(self, group: str, name: str) -> Any:
        """A resolved setting, None if the row does not know it."""
        return self.settings.get(group, {}).get(name)


@dataclass(frozen=True)
class TableRow:
    """A row of a table: a method, on a network, with its settings."""

    method: str
    label: str
    kind: str
    network: str
    look: Look
    baseline: str = ""


@dataclass(frozen=True)
class Comparison:
    """A column of a table: everything but the method is equal in it."""

    comparison_id: str
    dataset: str
    codebook_size: int
    code_dim: int
    label: str


def known(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a job that this report uses, of an entry of a grid's file.

    Older files call the group of modern methods "extra".
    """
    fields = {key: value for key, value in entry.items() if key in JobRow.__dataclass_fields__}
    return fields if fields["kind"] in NAMES else fields | {"kind": "modern"}


def table(folder: Path, name: str, jobs: Sequence[JobRow]) -> pd.DataFrame:
    """A table's rows of the given jobs, of their stages as the grid wants them now."""
    frame = tables.read(folder, name, jobs={job.job_id for job in jobs}, columns=READ.get(name))
    stages = {stage_id for job in jobs for stage_id in job.stage_ids.values()}
    any_stage = {job.job_id for job in jobs if not job.stage_ids}
    frame = frame[frame["stage_id"].isin(stages) | frame["job_id"].isin(any_stage)]
    if "value" in frame:
        frame = frame.assign(value=frame["value"].mask(frame["value"].abs() > LARGEST, np.inf))
    return frame.assign(status=frame["status"].fillna(NOT_RUN)) if "status" in frame else frame


def with_status(jobs: Sequence[JobRow], runs: pd.DataFrame, lost: Lost) -> list[JobRow]:
    """The jobs, each with its last status and what it ran on; ``lost`` is of ``standing``."""
    latest = {(row["job_id"], row["stage"]): row for row in last(runs).to_dict("records")}
    reached = [_complete(_status(job, latest), lost) for job in jobs]
    made_of = {job.config_id: job.made_of for job in reversed(reached) if job.made_of}
    return [
        job if job.made_of else replace(job, made_of=made_of.get(job.config_id, ""))
        for job in reached
    ]


def _status(job: JobRow, latest: Mapping[tuple[str, str], Any]) -> JobRow:
    rows = [
        (stage, latest.get((job.job_id, stage)))
        for stage in STAGES
        if stage in job.stage_ids or (job.job_id, stage) in latest
    ]
    train = latest.get((job.job_id, "train"))
    if train is not None:
        parts = [str(train["data_hash"] or ""), str(train["precision"] or "")]
        job = replace(job, device=train["device_name"] or "", made_of=" ".join(filter(None, parts)))
    for stage, row in rows:
        if row is None:
            return replace(job, status=NOT_RUN, stage=stage)
        if row["status"] != "done":
            return replace(job, status=row["status"], stage=stage, message=row["message"] or "")
    message = next((row["message"] for _, row in rows if row and row["message"]), "")
    return replace(job, status="done", stage=rows[-1][0], message=message)


def _complete(job: JobRow, lost: Lost) -> JobRow:
    for stage, stage_id in job.stage_ids.items():
        if names := lost.get((job.job_id, stage_id)):
            text = f"rows missing in {', '.join(names)}"
            return replace(job, status=LOST, stage=stage, message=text)
    return job


def grid_dims(jobs: Sequence[JobRow]) -> dict[str, int]:
    """Comparison -> the code dimension that the grid asked for.

    A job holds the one it has, and some methods tie theirs to the codebook size. It is then that of
    most methods; of two as frequent, the more frequent in the whole grid, at last the larger.
    """
    pairs = {(job.comparison_id, job.method, job.code_dim) for job in jobs}
    here = Counter((comparison, dim) for comparison, _, dim in pairs)
    anywhere = Counter(dim for *_, dim in pairs)
    dims: dict[str, int] = {}
    for comparison, dim in sorted(here, key=lambda key: (here[key], anywhere[key[1]], key[1])):
        dims[comparison] = dim
    return dims


def told_apart(jobs: Sequence[JobRow], names: Sequence[str]) -> list[str]:
    """Names of comparisons; where several have one, with the settings in which their jobs differ.

    Where rows do not know these, or they are many, the start of the comparison's id.
    """
    labels = list(names)
    for name in {name for name in names if names.count(name) > 1}:
        alike = {i: job for i, job in enumerate(jobs) if names[i] == name}
        words = {i: _differing(job, list(alike.values())) for i, job in alike.items()}
        clear = len(set(words.values())) == len(alike) and max(map(len, words.values())) < WORDY
        for i, job in alike.items():
            labels[i] = f"{name}, {words[i]}" if clear else f"{name} ({job.comparison_id[:4]})"
    return labels


def _differing(job: JobRow, others: Collection[JobRow]) -> str:
    """The settings of the training and its data that not all the others share, in words."""
    words = {}
    for group in ("data", "train"):
        for name, value in job.settings.get(group, {}).items():
            if any(other.setting(group, name) != value for other in others):
                words[name] = f"{thousands(value)} steps" if name == "steps" else f"{name} {value}"
    if "steps" in words:
        words.pop("horizon", None)  # the same schedule, compressed into them
    return ", ".join(words.values())


def thousands(n: int) -> str:
    """A number in words, thousands apart from 10 000 on: "8000", "150 000"."""
    return f"{n:,}".replace(",", "\u00a0") if n >= 10_000 else str(n)


def older(wanted: Sequence[JobRow], runs: pd.DataFrame) -> list[JobRow]:
    """Jobs with rows here that share a comparison with the grid but are no longer in it."""
    ids, comparisons = {j.job_id for j in wanted}, {j.comparison_id for j in wanted}
    kinds = {job.method: job.kind for job in wanted}
    rows = runs[runs["comparison_id"].isin(comparisons) & ~runs["job_id"].isin(ids)]
    rows = rows[rows["stage"] == "train"].drop_duplicates("job_id")
    return [
        replace(_from_row(row, kinds.get(row["method"], shipped_kind(row["method"]))),
                settings_label="(older)")
        for row in rows.to_dict("records")
    ]  # fmt: skip


def frozen(jobs: Sequence[JobRow], metrics: pd.DataFrame, tag: str) -> list[JobRow]:
    """Jobs of a baseline whose comparison the grid has and whose method it lacks there."""
    here = {(job.comparison_id, job.method) for job in jobs}
    comparisons = {job.comparison_id for job in jobs}
    rows = metrics[metrics["comparison_id"].isin(comparisons)].drop_duplicates("job_id")
    return [
        replace(_from_row(row, shipped_kind(row["method"])), status="done", baseline=tag)
        for row in rows.to_dict("records")
        if (row["comparison_id"], row["method"]) not in here
    ]


FROM_ROW = ("job_id", "config_id", "comparison_id", "method", "label", "network", "dataset",
            "codebook_size", "code_dim", "seed", "scale")  # fmt: skip


def _from_row(row: Mapping[str, Any], kind: str) -> JobRow:
    return JobRow(**{name: row[name] for name in FROM_ROW}, kind=kind)
