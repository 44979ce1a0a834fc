"""What a grid would do: jobs, what is done, what is missing, device-hours and gigabytes."""

from __future__ import annotations

import dataclasses
import itertools
import os
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from collapsebench.datasets import data_root
from collapsebench.plan import costs, resolve
from collapsebench.plan import grid as grids
from collapsebench.plan.grid import Grid
from collapsebench.plan.job import Finished, Job, finished, pending
from collapsebench.quantities import duration, percent
from collapsebench.results import baselines, tables
from collapsebench.settings import UserError, console, shown

ASK_ABOVE_HOURS = 0.5  # a longer run is confirmed first
GPU_ABOVE_HOURS = 24.0  # of a processor: what a GPU would take is worth a look


@dataclass(frozen=True)
class Choice:
    """What a user said about a grid, the same on every command; ``name``: what else to call it."""

    grid: str = "demo"
    name: str = ""
    scale: str | None = None
    methods: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    codebook_sizes: tuple[int, ...] = ()
    code_dims: tuple[int, ...] = ()
    seeds: tuple[int, ...] = ()
    set: tuple[str, ...] = ()
    only: str | None = None
    data_root: Path | None = None

    def jobs(self) -> tuple[Grid, list[Job]]:
        """The grid with the user's overrides, and its jobs.

        Raises:
            UserError: anything unknown or impossible in grid, overrides or methods.
        """
        axes: dict[str, Sequence[Any]] = {
            "method": list(self.methods),
            "network": list(self.networks),
            "dataset": list(self.datasets),
            "codebook_size": list(self.codebook_sizes),
            "code_dim": list(self.code_dims),
        }
        for key, values in axes.items():
            grids.check_values(key, values, "command line")
        grids.check_seeds(self.seeds, "command line: seeds must be")
        grid = grids.with_overrides(
            grids.load(self.grid, self.scale),
            axes=axes,
            seeds=self.seeds,
            settings=dict(parse_assignment(text) for text in self.set),
        )
        grid = dataclasses.replace(grid, name=self.name or grid.name)
        resolve.check_rules(grid)
        points = grid.points()
        if self.only is not None:
            points = grids.only(points, self.only)
        if not points:
            raise UserError(f"grid {grid.name!r}: nothing is left after the given filters")
        return grid, resolve.jobs(grid, points, self.data_root)


def parse_assignment(text: str) -> tuple[str, Any]:
    """``train.steps=1000`` -> ("train.steps", 1000)."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UserError(f"--set {shown(text)} is not of the form group.name=value")
    return key.strip(), grids.parse_value(value.strip())


@dataclass
class Plan:
    """What running a list of jobs would take.

    Attributes:
        done, missing: stages with and without a final result, by stage.
        hours: device-hours of the missing stages, by stage.
        gigabytes: size of the files that the missing stages leave.
        lacking: one line for each thing that must be provided first.
        measured: share of the estimated stages that rest on measured siblings, in [0, 1].
        beside: what stands beside these jobs without training: label -> where its rows are.
    """

    grid: Grid
    jobs: list[Job]
    device: str
    done: dict[str, int] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)
    hours: dict[str, float] = field(default_factory=dict)
    gigabytes: float = 0.0
    lacking: list[str] = field(default_factory=list)
    measured: float = 0.0
    beside: dict[str, str] = field(default_factory=dict)

    @property
    def total_hours(self) -> float:
        """Device-hours in all."""
        return sum(self.hours.values())

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, without the settings of every job."""
        values = {
            f.name: getattr(self, f.name)
            for f in dataclasses.fields(self)
            if f.name not in ("grid", "jobs")
        }
        listed = [
            {k: getattr(j, k) for k in ("job_id", "method", "network", "dataset", "codebook_size",
                                        "code_dim", "seed", "scale", "settings_label")}
            for j in self.jobs
        ]  # fmt: skip
        return {"grid": self.grid.name, "scale": self.grid.scale, "jobs": listed} | values


def plan(
    grid: Grid,
    jobs: list[Job],
    results: Path,
    device: str,
    root: Path | None,
    weights: Path | None = None,
) -> Plan:
    """Counts and costs of what is missing.

    Args:
        device: whose hours, a key of ``costs.RATES``.
        root: where datasets lie, or None to look in the usual places.
        weights: an Inception weights file, or None to look in the usual places.

    Raises:
        UserError: an unknown device.
    """
    if device not in costs.RATES:
        raise UserError(f"unknown device {device!r}; known: {', '.join(sorted(costs.RATES))}")
    found = Plan(grid, jobs, device)
    done = finished(results)
    siblings = costs.measured_seconds(results, device)
    known = total = 0
    for (_, left), same in itertools.groupby(jobs_by_need(jobs, done), key=lambda n: n[:2]):
        job, count = (members := [need[2] for need in same])[0], len(members)
        for stage in job.stage_ids:
            column = found.missing if stage in left else found.done
            column[stage] = column.get(stage, 0) + count
        for stage in left:
            known, total = known + count * (costs.sibling(job, stage) in siblings), total + count
            hours = count * costs.seconds(job, stage, device, siblings) / 3600
            found.hours[stage] = found.hours.get(stage, 0.0) + hours
        found.gigabytes += count * costs.gigabytes(job, left)
    found.measured = known / total if total else 1.0
    found.lacking = lacking(jobs, done, root, weights)
    found.beside = beside(jobs, results)
    return found


def jobs_by_need(jobs: Iterable[Job], done: Finished) -> list[tuple[str, tuple[str, ...], Job]]:
    """(config_id, missing stages, job), sorted: seeds of a cell cost the same."""
    needs = [(job.config_id, pending(job, done), job) for job in jobs]
    return sorted(needs, key=lambda need: need[:2])


def beside(jobs: Sequence[Job], results: Path) -> dict[str, str]:
    """Methods that a table of these jobs will show although none of the jobs is theirs.

    Rows of the same comparison_id count, whether measured here or frozen as a baseline.
    """
    own = {job.method for job in jobs}
    wanted = {job.comparison_id for job in jobs}
    places = [(tag, folder, "metrics") for tag, folder in baselines.tags().items()]
    found: dict[str, str] = {}
    for place, folder, table in (*places, (str(results), results, "runs")):
        others = {
            label
            for comparison, method, label in tables.tuples(
                folder, table, ("comparison_id", "method", "label")
            )
            if comparison in wanted and method not in own and label is not None
        }
        found |= dict.fromkeys(sorted(others), place)
    return found


def lacking(
    jobs: Iterable[Job], done: Finished, root: Path | None, weights: Path | None
) -> list[str]:
    """One line per dataset or weights file that missing stages need and that is not there."""
    needs = [(job, left) for job in jobs if (left := pending(job, done))]
    read = {data_of(job): job for job, _ in needs}
    lines = [
        costs.dataset(job).missing(job.group("data"), data_root(root)) for job in read.values()
    ]
    scored = {job.settings["score"]["extractor"] for job, left in needs if "score" in left}
    if any(extractor.startswith("inception") for extractor in scored):
        from collapsebench.fidelity import inception_weights

        try:
            inception_weights(weights)
        except UserError as error:
            lines.append(str(error))
    return list(dict.fromkeys(line for line in lines if line))


def data_of(job: Job) -> tuple[Any, ...]:
    """What jobs that read the same data share."""
    return (job.dataset, job.files.get("dataset"), *job.settings["data"].values())


def show(found: Plan) -> None:
    """Prints a plan for a person."""
    from rich.table import Table
    from rich.text import Text

    grid, screen = found.grid, console()
    cells = len({job.config_id for job in found.jobs})
    seeds = len({job.seed for job in found.jobs})
    title = Text.assemble((grid.title, "bold"), f" — grid {grid.name}, scale {grid.scale}")
    screen.print(title)
    times = "×" if len(found.jobs) == cells * seeds else "of up to"
    jobs = f"{len(found.jobs)} jobs: {cells} cells {times} {seeds} seed{'s' if seeds > 1 else ''}"
    screen.print(jobs)
    table = Table(box=None, pad_edge=False)
    for column in ("stage", "done", "missing", "time"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    for stage in grid.stages:
        done, missing = found.done.get(stage, 0), found.missing.get(stage, 0)
        hours = found.hours.get(stage, 0.0)
        table.add_row(stage, str(done), str(missing), duration(3600 * hours) if missing else "")
    screen.print(table)
    basis = (
        "measured"
        if found.measured == 1
        else f"{percent(found.measured, 0)} measured, else modelled"
    )
    device = f"this machine's {os.cpu_count()} cores"
    if found.device != "cpu":
        device = f"one {found.device.upper()}"
    time = duration(3600 * found.total_hours)
    screen.print(f"{time} of {device} ({basis}), {found.gigabytes:.2g} GB")
    for place in dict.fromkeys(found.beside.values()):
        labels = ", ".join(label for label, where in found.beside.items() if where == place)
        screen.print(f"beside it, measured already: {labels} ({place})")
    if grid.note:
        screen.print(grid.note)
    for line in found.lacking:
        screen.print(Text.assemble(("missing:", "bold"), f" {line}"), soft_wrap=True)
    if found.device == "cpu" and found.total_hours > GPU_ABOVE_HOURS:
        words = f"on a GPU: collapsebench plan --grid {shlex.quote(grid.word)} --device h100"
        screen.print(words, soft_wrap=True)
    if found.lacking or (found.device == "cpu" and found.total_hours > ASK_ABOVE_HOURS):
        screen.print(
            "a scale that fits a laptop: collapsebench run --grid "
            f"{shlex.quote(grid.word)} --scale demo",
            soft_wrap=True,
        )
