"""Perplexity and error against the number of training steps, each with the whole schedule in it."""

from __future__ import annotations

from dataclasses import replace

from collapsebench.report import sections, sweep
from collapsebench.report.data import ReportData
from collapsebench.report.figures import Figure
from collapsebench.report.group import Group
from collapsebench.report.rows import Comparison, TableRow, thousands
from collapsebench.report.what_ran import what_ran

title = "Length of training"
section = sections.TRAINING
place = 505


def build(data: ReportData) -> list[Figure]:
    """The sweep, where the grid trains for several numbers of steps; of the codebook in focus."""
    sizes = {(c.dataset, c.codebook_size, c.code_dim) for c in data.focus}

    def steps(variant: TableRow, comparison: Comparison, group: Group) -> float | None:
        here = comparison in drawn and group.count("done")
        return group.first.setting("train", "steps") if here else None

    drawn = [c for c in data.comparisons if (c.dataset, c.codebook_size, c.code_dim) in sizes]
    lines = sweep.points(data, steps)
    ticks = sorted({value for cells in lines.values() for value, _ in cells})
    if len(ticks) < 2:
        return []
    axis = sweep.Axis("steps", ticks, lambda n: thousands(int(n)))
    caption = (
        f"Test split; {sweep.BAND}. Each length is a training of its own, with the whole schedule "
        f"compressed into it: no point lies on the way to another.{data.of_several}"
    )
    figures = sweep.figures(data, "length", title, caption, lines, {"": sweep.RELATIVE}, axis)
    return [replace(figure, ran=what_ran(data, drawn)) for figure in figures]
