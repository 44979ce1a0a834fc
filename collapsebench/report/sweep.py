"""Quantities against a codebook's size or dimension, or against a setting: lines with bands."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter, PercentFormatter
from scipy import special

from collapsebench import stats
from collapsebench.datasets import label as dataset_label
from collapsebench.quantities import Quantity, of
from collapsebench.report import multiples, style
from collapsebench.report.cells import mean
from collapsebench.report.data import ReportData
from collapsebench.report.figures import Figure
from collapsebench.report.group import Group
from collapsebench.report.multiples import Panel
from collapsebench.report.rows import Comparison, TableRow

BAND = (
    "line: mean over seeds; band: 95 % t-interval of logarithms, of logits where shares are drawn, "
    "of two seeds only their range; hollow: a seed collapsed"
)
FEWEST = 3  # seeds of an interval that is drawn: of two it is 12.7 standard errors wide each way
SCALES = {  # on which values are tested: there, and back
    "log": (np.log, np.exp),
    "logit": (special.logit, special.expit),
}
RELATIVE, RAW = map(of, ("relative_perplexity", "perplexity"))
MOST_TICKS = 8

Points = dict[tuple[str, TableRow], list[tuple[float, Group]]]
X = Callable[[TableRow, Comparison, Group], float | None]


@dataclass(frozen=True)
class Axis:
    """The swept value.

    Attributes:
        ticks: every value that occurs.
        text: a value in words.
        bound: the largest possible perplexity there, drawn as a black line.
    """

    label: str
    ticks: Sequence[float]
    text: Callable[[float], str] = "{:g}".format
    bound: Callable[[float], float] | None = None


def points(data: ReportData, x: X) -> Points:
    """(dataset, method) -> (x, cell) by x; cells for which ``x`` is None are left out."""
    lines: Points = defaultdict(list)
    for variant, comparison, group in data.cells():
        if (value := x(variant, comparison, group)) is not None:
            lines[comparison.dataset, variant].append((value, group))
    return {key: sorted(cells, key=lambda cell: cell[0]) for key, cells in lines.items()}


def figures(
    data: ReportData, name: str, title: str, caption: str, lines: Points,
    forms: Mapping[str, Quantity], axis: Axis,
) -> list[Figure]:  # fmt: skip
    """Per form a row of panels of its quantity and one of the error, one column per dataset.

    x is logarithmic.
    """

    def panels(quantity: Quantity, dataset: str) -> list[Panel]:
        own = {variant: cells for (where, variant), cells in lines.items() if where == dataset}
        return [_panel(dataset, own, each, axis) for each in (quantity, data.error_of(dataset))]

    datasets = list(dict.fromkeys(dataset for dataset, _ in lines))
    methods = list(dict.fromkeys(variant for _, variant in lines))
    drawn = {form: partial(panels, quantity) for form, quantity in forms.items()}
    return multiples.figures(name, title, caption, datasets, methods, drawn, 1.95)


def _panel(
    dataset: str, cells: dict[TableRow, list[tuple[float, Group]]], quantity: Quantity, axis: Axis
) -> Panel:
    bound = axis.bound if quantity is RAW else None
    line = partial(_line, cells, quantity, axis, bound)
    dress = partial(_dress, quantity, axis, bound)
    return Panel(dataset_label(dataset), axis.label, quantity.title, line, dress)


def _line(
    cells: dict[TableRow, list[tuple[float, Group]]], quantity: Quantity, axis: Axis,
    bound: Callable[[float], float] | None, ax: Axes, variant: TableRow,
) -> None:  # fmt: skip
    measured = [
        (x, list(group.values(quantity.name, "test").values()), group)
        for x, group in cells.get(variant, [])
    ]
    measured = [point for point in measured if point[1]]
    if not measured:
        return
    x = [at for at, *_ in measured]
    y = [quantity.factor * float(np.mean(values)) for _, values, _ in measured]
    low, high = quantity.factor * np.transpose(
        [interval(values, _scale(quantity)) for _, values, _ in measured]
    )
    if bound is not None:
        low, high = np.maximum(low, 1), np.minimum(high, [bound(at) for at in x])
    texts = [
        f"{variant.label} · {axis.label} {axis.text(at)}: " + _words(quantity, values)
        for at, values, _ in measured
    ]
    hollow = [group.collapsed > 0 for *_, group in measured]
    style.series(ax, variant, x, y, band=(low, high), texts=texts, hollow=hollow)


def _scale(quantity: Quantity) -> str:
    """That of a share, or of what is only larger than 0."""
    return "logit" if quantity.share else "log"


def _words(quantity: Quantity, values: Sequence[float]) -> str:
    number = mean(quantity.printed(values), quantity.decimals)
    return f"{number}{' %' if quantity.share else ''} (n = {len(values)})"


def interval(values: Sequence[float], scale: str) -> tuple[float, float]:
    """The 95 % t-interval of the mean on a scale of ``SCALES``, back in the values' own unit.

    Of fewer values than ``FEWEST`` their range. A share of exactly 0 or 1 has no logit: with one,
    the plain interval as far as it lies in [0, 1].
    """
    if len(values) < FEWEST:
        return min(values), max(values)
    there, back = SCALES[scale]
    with np.errstate(divide="ignore"):
        moved = there(np.asarray(values, np.float64))
    if np.isfinite(moved).all():
        low, high = back(stats.mean_interval(moved))
    else:
        low, high = np.clip(stats.mean_interval(values), 0, 1 if scale == "logit" else None)
    return float(low), float(high)


def _dress(
    quantity: Quantity, axis: Axis, bound: Callable[[float], float] | None, ax: Axes
) -> None:
    if min(axis.ticks) > 0:
        ax.set_xscale("log", base=2)
    else:
        ax.set_xscale("symlog", linthresh=min(tick for tick in axis.ticks if tick > 0))
    shown = axis.ticks[:: math.ceil(len(axis.ticks) / MOST_TICKS)]
    ax.set_xticks(list(shown), [axis.text(tick) for tick in shown])
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.minorticks_off()
    if _scale(quantity) == "logit":
        ax.set_ylim(style.SHARES)
        ax.yaxis.set_major_formatter(PercentFormatter(decimals=0))
    elif bound is not None:
        ax.plot(axis.ticks, [bound(t) for t in axis.ticks], color=style.INK, lw=1, ls="--",
                label="upper bound")  # fmt: skip
        ax.set_yscale("log", base=2)
        ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    else:
        style.positive_y(ax)
