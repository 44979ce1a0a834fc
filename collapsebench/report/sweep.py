"""Quantities against a codebook's size or dimension, or against a setting: lines with bands."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter, PercentFormatter

from collapsebench import stats
from collapsebench.datasets import label as dataset_label
from collapsebench.report import style
from collapsebench.report.data import Comparison, Group, ReportData, Variant
from collapsebench.report.style import Drawing

BAND = "band: 95 % t-interval of the mean over seeds; × marks cells in which a seed collapsed"


@dataclass(frozen=True)
class Quantity:
    """What is drawn against the swept value.

    Attributes:
        metric: of the test split.
        factor: what values are multiplied by.
        unit: printed after a value on hover.
    """

    metric: str
    label: str
    factor: float = 1.0
    decimals: int = 1
    unit: str = ""

    def text(self, values: Sequence[float]) -> str:
        """Mean and SD in words."""
        mean = f"{np.mean(values):.{self.decimals}f}"
        spread = f" ± {np.std(values, ddof=1):.{self.decimals}f}" if len(values) > 1 else ""
        return f"{mean}{spread}{self.unit} (n = {len(values)})"


RELATIVE = Quantity("relative_perplexity", "perplexity / codebook size", 100, 1, " %")
RAW = Quantity("perplexity", "perplexity")
MSE = Quantity("mse", "MSE × 10³", 1e3, 2)

MOST_TICKS = 8

Points = dict[tuple[str, Variant], list[tuple[float, Group]]]
X = Callable[[Variant, Comparison, Group], float | None]


def points(data: ReportData, x: X) -> Points:
    """(dataset, method) -> (x, cell) by x; cells for which ``x`` is None are left out."""
    found: Points = defaultdict(list)
    for variant, comparison, group in data.cells():
        if (value := x(variant, comparison, group)) is not None:
            found[comparison.dataset, variant].append((value, group))
    return {key: sorted(cells, key=lambda cell: cell[0]) for key, cells in found.items()}


def draw(
    found: Points, rows: Sequence[Quantity], xlabel: str, ticks: Sequence[float],
    tick_text: Callable[[float], str] = lambda value: f"{value:g}",
    bound: Callable[[float], float] | None = None,
) -> Drawing:  # fmt: skip
    """One row of panels per quantity, one column per dataset, x on a logarithmic scale.

    ``bound`` is the largest possible value of the first quantity, drawn as a black line.
    """
    datasets = list(dict.fromkeys(dataset for dataset, _ in found))
    width = style.width(len(datasets))
    drawing, axes = style.panels(len(rows), len(datasets), 1.95, width)
    for j, dataset in enumerate(datasets):
        for i, quantity in enumerate(rows):
            ax = axes[i, j]
            for (where, variant), cells in found.items():
                if where == dataset:
                    _line(ax, variant, cells, quantity, tick_text, xlabel)
            _dress(ax, quantity, xlabel if i == len(rows) - 1 else "", ticks, tick_text, j == 0)
        axes[0, j].set_title(dataset_label(dataset))
        if bound is not None:
            axes[0, j].plot(ticks, [bound(t) for t in ticks], color=style.INK, lw=1, ls="--",
                            label="upper bound")  # fmt: skip
            axes[0, j].set_yscale("log", base=2)
            axes[0, j].yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    style.legend(drawing, axes.flat)
    return drawing


def _line(
    ax: Axes, variant: Variant, cells: Sequence[tuple[float, Group]], quantity: Quantity,
    tick_text: Callable[[float], str], xlabel: str,
) -> None:  # fmt: skip
    measured = [
        (x, [v * quantity.factor for v in group.values(quantity.metric, "test").values()], group)
        for x, group in cells
    ]
    measured = [point for point in measured if point[1]]
    if not measured:
        return
    x = [point[0] for point in measured]
    y = [float(np.mean(values)) for _, values, _ in measured]
    low, high = zip(*(interval(values) for _, values, _ in measured), strict=True)
    texts = [
        f"{variant.label} · {xlabel} {tick_text(at)}: {quantity.text(values)}"
        for at, values, _ in measured
    ]
    style.series(ax, variant, x, y, band=(low, high), texts=texts)
    dead = [
        (at, mean)
        for at, mean, (_, _, group) in zip(x, y, measured, strict=True)
        if group.collapsed
    ]
    if dead:
        (cross,) = ax.plot(*zip(*dead, strict=True), "x", color=style.INK, ms=4.5, mew=0.9)
        style.tag(cross, variant.label)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % t-interval of the mean; the value itself where there is only one."""
    if len(values) < 2:
        return values[0], values[0]
    return stats.mean_interval(values)


def _dress(
    ax: Axes, quantity: Quantity, xlabel: str, ticks: Sequence[float],
    tick_text: Callable[[float], str], labelled: bool,
) -> None:  # fmt: skip
    if min(ticks) > 0:
        ax.set_xscale("log", base=2)
    shown = ticks[:: math.ceil(len(ticks) / MOST_TICKS)]
    ax.set_xticks(list(shown), [tick_text(tick) for tick in shown])
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.minorticks_off()
    if xlabel:
        ax.set_xlabel(xlabel)
    else:
        ax.tick_params(labelbottom=False)
    if labelled:
        ax.set_ylabel(quantity.label)
    ax.set_ylim(bottom=0)  # a t-interval may reach below, a perplexity and an error cannot
    if quantity.unit == " %":
        ax.set_ylim(top=102)
        ax.yaxis.set_major_formatter(PercentFormatter(decimals=0))
