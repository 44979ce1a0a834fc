"""Logged quantities along training: the mean over seeds, each seed as a thin line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from collapsebench.report import style
from collapsebench.report.data import Group, ReportData, Variant
from collapsebench.report.style import Drawing


@dataclass(frozen=True)
class Quantity:
    """What is drawn along training.

    Attributes:
        factor: what values are multiplied by.
        log: whether the axis is logarithmic; zeros are then not drawn.
        relative: whether each seed's values are divided by its first.
    """

    metric: str
    label: str
    factor: float = 1.0
    log: bool = False
    relative: bool = False


def draw(data: ReportData, quantities: Sequence[Quantity]) -> Drawing | None:
    """One row of panels per quantity that was logged, one column per dataset."""
    logged = set(data.curves["metric"].unique())
    rows = [quantity for quantity in quantities if quantity.metric in logged]
    if not rows:
        return None
    drawing, axes = style.panels(len(rows), len(data.focus), 1.55, style.width(len(data.focus)))
    for i, quantity in enumerate(rows):
        for ax, comparison in zip(axes[i], data.focus, strict=True):
            for variant, group in data.column(comparison):
                _line(data, ax, variant, group, quantity)
            _dress(ax, quantity)
            ax.set_title(comparison.label if i == 0 else "")
            if i == len(rows) - 1:
                ax.set_xlabel("step")
            else:
                ax.tick_params(labelbottom=False)
        axes[i, 0].set_ylabel(quantity.label)
    style.legend(drawing, axes.flat)
    return drawing


def _dress(ax: Axes, quantity: Quantity) -> None:
    ax.xaxis.set_major_formatter(style.count)
    if quantity.log:
        style.log_y(ax)


def _line(data: ReportData, ax: Axes, variant: Variant, group: Group, quantity: Quantity) -> None:
    steps, values = data.curve(group, quantity.metric)
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
        f"{variant.label} · step {step:,}: {quantity.label} {value:.4g}"
        for step, value in zip(steps, mean, strict=True)
    ]
    style.series(ax, variant, steps, mean, texts=texts, markers=False)
