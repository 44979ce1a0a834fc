"""Who collapses: every method's seeds at one codebook, from most to least evenly used."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator

from collapsebench.quantities import Quantity, of
from collapsebench.report import sections, style
from collapsebench.report.data import ReportData
from collapsebench.report.figures import Figure
from collapsebench.report.group import Group
from collapsebench.report.rows import Comparison, TableRow
from collapsebench.report.what_ran import what_ran

title = "Who collapses"
section = sections.TABLES
place = 10

EVEN = of("relative_perplexity")
ROW = 0.17  # inches
FRAME = 0.75  # inches above and below the rows

Cells = list[tuple[TableRow, Group]]


def build(data: ReportData) -> list[Figure]:
    """One figure per dataset with two methods or more, of the codebook in focus."""
    figures = (_figure(data, comparison, i) for i, comparison in enumerate(data.focus, 1))
    return [figure for figure in figures if figure]


def _figure(data: ReportData, comparison: Comparison, number: int) -> Figure | None:
    cells = [(v, g) for v, g in data.leading(comparison) if g.values(EVEN.name, "test")]
    if len(cells) < 2:
        return None
    cells.sort(key=lambda cell: float(np.mean(_values(EVEN, cell[1]))))
    height = ROW * len(cells) + FRAME
    canvas, ((even, error),) = style.panels(1, 2, height)
    _panel(even, cells, EVEN)
    _panel(error, cells, data.error_of(comparison.dataset))
    ceiling = data.ceiling(comparison, EVEN.name, "test") or 1.0
    even.axvline(EVEN.factor * ceiling, color=style.INK, lw=1, ls="--", label="even use")
    even.set_xlim(0, style.SHARES[1])
    labels = [data.row_label(variant, [comparison]) for variant, _ in cells]
    names = [style.short(label, beside=labels) for label in labels]
    even.set_yticks(range(len(cells)), names)
    error.set_yticks(range(len(cells)), [""] * len(cells))
    caption = (
        "Test split, all tokens pooled; a mark is a seed, the upright line their mean, hollow a "
        f"seed that collapsed; dashed: what even use of all codes would reach.{data.of_several}"
    )
    heading = f"{title} · {comparison.label}"
    drawings = {"": canvas}
    return Figure(
        f"who-collapses-{number}", heading, caption, drawings, what_ran(data, [comparison])
    )


def _values(quantity: Quantity, group: Group) -> list[float]:
    return list(quantity.printed(group.values(quantity.name, "test").values()))


def _panel(ax: Axes, cells: Cells, quantity: Quantity) -> None:
    for row, (variant, group) in enumerate(cells):
        _draw(ax, row, variant, group, quantity)
    drawn = [value for _, group in cells for value in _values(quantity, group)]
    if not quantity.share and min(drawn) > 0 and max(drawn) > style.DECADE * min(drawn):
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=9))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter("{x:g}")
    ax.set_ylim(-0.7, len(cells) - 0.3)
    ax.set_xlabel(quantity.axis)
    ax.grid(visible=True, axis="both")


def _draw(ax: Axes, row: int, variant: TableRow, group: Group, quantity: Quantity) -> None:
    """One method's seeds on its line, and their mean."""
    values = group.values(quantity.name, "test")
    if not values:
        return
    seeds = sorted(values, key=values.__getitem__)
    x = list(quantity.printed([values[seed] for seed in seeds]))
    collapsed = group.values("collapsed", "test")
    texts = [
        f"{variant.label} · seed {seed}: {value:.{quantity.decimals}f}"
        f"{' %' if quantity.share else ''}"
        for seed, value in zip(seeds, x, strict=True)
    ]
    hollow = [collapsed.get(seed, 0.0) > 0 for seed in seeds]
    ax.plot([np.mean(x)] * 2, [row - 0.32, row + 0.32], color=variant.look.color, lw=1.4)
    style.series(ax, variant, x, [float(row)] * len(x), texts=texts, hollow=hollow)
