"""Logged quantities along training: the mean over seeds, each seed as a thin line."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from matplotlib.axes import Axes

from collapsebench.quantities import Quantity, of
from collapsebench.report import multiples, style
from collapsebench.report.data import ReportData
from collapsebench.report.figures import Figure
from collapsebench.report.multiples import Panel
from collapsebench.report.rows import Comparison, TableRow

LINES = "Thick: mean over seeds, thin: each seed."


def figures(
    data: ReportData, name: str, title: str, caption: str, quantities: Sequence[str]
) -> list[Figure]:
    """One row of panels per quantity that was logged, one column per dataset.

    One figure, or one for each dataset where methods are many; none if nothing was logged.
    """
    logged = set(data.curves["metric"].unique())
    shown = [of(quantity) for quantity in quantities if quantity in logged]
    methods = [v for v in data.variants if any(_has_curve(data, v, q) for q in shown)]

    def panels(comparison: Comparison) -> list[Panel]:
        return [_panel(data, quantity, comparison) for quantity in shown]

    return multiples.figures(name, title, caption, data.focus, methods, {"": panels}, 1.55)


def _has_curve(data: ReportData, variant: TableRow, quantity: Quantity) -> bool:
    cells = (data.groups.get((variant, comparison)) for comparison in data.focus)
    return any(len(data.curve(group, quantity.name)[0]) for group in cells if group)


def _panel(data: ReportData, quantity: Quantity, comparison: Comparison) -> Panel:
    line, dress = partial(_line, data, comparison, quantity), partial(_dress, quantity)
    return Panel(comparison.label, "step", quantity.axis, line, dress)


def _dress(quantity: Quantity, ax: Axes) -> None:
    ax.xaxis.set_major_formatter(style.count)
    if quantity.log:
        style.log_y(ax)  # zeros are not drawn


def _line(
    data: ReportData, comparison: Comparison, quantity: Quantity, ax: Axes, variant: TableRow
) -> None:
    group = data.groups.get((variant, comparison))
    steps, values = data.curve(group, quantity.name) if group else (np.empty(0), np.empty(0))
    if not len(steps):
        return
    values = values / values[:, :1] if quantity.relative else values * quantity.factor
    if len(values) > 1:  # one line with a gap between two seeds draws much faster than many
        gap = np.full((len(values), 1), np.nan)
        x = np.tile(np.append(steps, np.nan), len(values))
        y = np.hstack([values, gap]).ravel()
        (thin,) = ax.plot(x, y, color=variant.look.color, lw=0.5, alpha=0.45)
        style.tag(thin, variant.label)
    mean = values.mean(0)
    texts = [
        f"{variant.label} · step {step:,}: {quantity.axis} {value:.4g}"
        for step, value in zip(steps, mean, strict=True)
    ]
    style.series(ax, variant, steps, mean, texts=texts, markers=False)
