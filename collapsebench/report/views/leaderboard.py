"""The leaderboard: every method at one size, what it reached beside what it cost.

The page sorts it by any column. Within each column of measurements bold and ≈ say who is best and
who can't be told from the best, by the one rule of all tables. Samples are judged under protocols,
in tables of their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import pandas as pd

from collapsebench.quantities import ERRORS, of
from collapsebench.report import sections
from collapsebench.report.cells import SPREAD, Measure, marks, mean, seeds
from collapsebench.report.data import ReportData
from collapsebench.report.group import Group
from collapsebench.report.measured import measured_table, notes
from collapsebench.report.rows import Comparison
from collapsebench.report.tables import Cell, Number, Table, plain
from collapsebench.report.what_ran import what_ran

title = "Leaderboard"
section = sections.TABLES
place = 11

REACHED = ("relative_perplexity", "usage", *ERRORS)
BESIDE = ("seeds", "quantizer, 1000 parameters", "ms a step", "notes", "-m")


def build(data: ReportData) -> list[Table]:
    """One table per dataset, of its codebook size with most methods."""
    tables = (_table(data, comparison, i) for i, comparison in enumerate(data.focus, 1))
    return [table for table in tables if table]


def _table(data: ReportData, comparison: Comparison, number: int) -> Table | None:
    groups = [group for _, group in data.column(comparison)]
    measures = [
        Measure(comparison, quantity.column(), quantity, quantity.split)
        for quantity in map(of, REACHED)
        if any(group.values(quantity.name, quantity.split) for group in groups)
    ]
    caption = (
        f"{SPREAD}; of the test split, all tokens pooled.{data.of_several} Cost: means over the "
        "seeds that finished; times of jobs that shared a machine are not comparable."
    )
    name, heading = f"leaderboard-{number}", f"{title} · {comparison.label}"
    table = measured_table(data, name, heading, caption, measures)
    if table is None or len(groups) < 2:
        return None
    rows = [
        replace(row, cells=[*map(_alone, row.cells), *_beside(data, group)])
        for row, group in zip(table.rows, groups, strict=True)
    ]
    how = [
        f"A line is made by: {data.command(comparison, ())} -m and the name that stands last.",
        f"Your own quantizer joins by: {data.command(comparison, ['my_vq.py'])}",
    ]
    return replace(
        table, columns=[*table.columns, *BESIDE], rows=rows, ran=what_ran(data, [comparison]),
        notes=[*notes(data, measures, rows), *how],
    )  # fmt: skip


def _alone(cell: Cell) -> Cell:
    """A cell without what stands once per line: the seeds, and why there is no number."""
    main = cell.main if isinstance(cell.main, Number) else str(cell.main).partition(":")[0]
    return replace(cell, parts={"measured": main}, band=None)


def _beside(data: ReportData, group: Group) -> Iterator[Cell]:
    """Cells of ``BESIDE``; cost is of the trainings that finished."""
    runs = data.runs[data.runs["job_id"].isin([job.job_id for job in group.jobs])]
    train = runs[(runs["stage"] == "train") & (runs["status"] == "done")]
    steps = group.first.setting("train", "steps") or math.nan
    yield plain(seeds(group.count("done"), len(group.jobs)))
    yield _mean(train["parameters_quantizer"] / 1e3, 1)
    yield _mean(1e3 * train["wall_s"] / steps, 1)
    why = [] if group.count("done") else [group.reason]
    yield plain("; ".join(filter(None, [*marks(group), *why])))
    yield plain(group.first.method)


def _mean(values: pd.Series, decimals: int) -> Cell:
    number = mean(list(values.dropna()), decimals)
    return plain(replace(number, spread=None) if number else "–")
