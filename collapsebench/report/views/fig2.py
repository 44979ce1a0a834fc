"""Fig. 2: entropy of the token posteriors along training, and its map over one item."""

from __future__ import annotations

import math
import warnings
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from collapsebench.quantities import of
from collapsebench.report import images, multiples, sections, style
from collapsebench.report.data import ReportData
from collapsebench.report.figures import Figure
from collapsebench.report.group import Group
from collapsebench.report.multiples import Panel
from collapsebench.report.rows import Comparison, TableRow
from collapsebench.settings import ENTROPY_MAPS

title = "Fig. 2 · Entropy of the token posteriors"
section = sections.TRAINING
place = 510

MOMENTS = 5  # maps of one method, from the first logged step to the last


def build(data: ReportData) -> list[Figure]:
    """(a) means with SD over items and positions; (b) maps of one training item."""
    cells = [
        (variant, comparison, group)
        for comparison in data.focus
        for variant, group in data.column(comparison)
        if len(data.curve(group, "entropy_mean")[0])
    ]
    if not cells:
        return []
    caption = (
        "On 512 fixed training items; line: mean over items, positions and seeds, band: SD over "
        "items and positions, as in the paper. Methods without a posterior are not drawn."
    )
    methods = list(dict.fromkeys(variant for variant, *_ in cells))
    forms = {"": partial(_panels, data)}
    curves = multiples.figures("fig2a", title, caption, data.focus, methods, forms, 2.1)
    return curves + _maps(data, cells)


def _panels(data: ReportData, comparison: Comparison) -> list[Panel]:
    ceiling = math.log(comparison.codebook_size)

    def dress(ax: Axes) -> None:
        ax.axhline(ceiling, color=style.INK, lw=0.8, ls="--", label="uniform, ln K")
        ax.xaxis.set_major_formatter(style.count)
        ax.set_ylim(0, 1.06 * ceiling)

    line = partial(_curve, data, comparison, ceiling)
    return [Panel(comparison.label, "step", of("entropy_mean").axis, line, dress)]


def _curve(
    data: ReportData, comparison: Comparison, ceiling: float, ax: Axes, variant: TableRow
) -> None:
    group = data.groups.get((variant, comparison))
    if group is None or not len(data.curve(group, "entropy_mean")[0]):
        return
    steps, means = data.curve(group, "entropy_mean")
    _, spreads = data.curve(group, "entropy_sd")
    center, sd = means.mean(0), spreads.mean(0)
    texts = [
        f"{variant.label} · step {step:,}: {value:.2f} ± {spread:.2f} nats"
        for step, value, spread in zip(steps, center, sd, strict=True)
    ]
    style.series(
        ax, variant, steps, center,
        band=np.clip((center - sd, center + sd), 0, ceiling), texts=texts, markers=False,
    )  # fmt: skip


def _maps(data: ReportData, cells: list) -> list[Figure]:
    shown_maps = []
    for variant, comparison, group in cells:
        if (variant, group) not in data.leading(comparison):
            continue
        steps, _ = data.curve(Group(data, [group.first], group.code_dim), "entropy_mean")
        maps = _load(data.file(group.first, ENTROPY_MAPS), len(steps))
        if maps is not None:
            shown_maps.append((variant, comparison, maps, steps))
    if not shown_maps:
        return []
    drawing, axes = style.panels(len(shown_maps), MOMENTS, 0.85, style.COLUMN * 1.35)
    several = len({comparison.dataset for _, comparison, *_ in shown_maps}) > 1
    for row, (variant, comparison, maps, steps) in zip(axes, shown_maps, strict=True):
        chosen = np.linspace(0, len(maps) - 1, MOMENTS).round().astype(int)
        for ax, i in zip(row, chosen, strict=True):
            shown = ax.imshow(
                maps[i], vmin=0, vmax=math.log(comparison.codebook_size), cmap="viridis"
            )
            ax.set(xticks=[], yticks=[])
            ax.grid(False)
            if ax in axes[0]:
                ax.set_title(f"step {style.count(steps[i])}", weight="normal")
        name = style.short(variant.label, style.NARROW)
        row[0].set_ylabel(name + (f"\n{comparison.label}" if several else ""), fontsize=7)
    bar = drawing.colorbar(shown, ax=axes, shrink=0.8, label="entropy, nats (top: ln K)")
    bar.outline.set_visible(False)
    caption = (
        "Entropy at each position of one training item, first seed; one scale for all methods."
    )
    return [Figure("fig2b", "Fig. 2b · Where the entropy is", caption, {"": drawing})]


def _load(path: Path | None, points: int) -> np.ndarray | None:
    """A job's entropy maps (points, h, w); None if there are none, or not one for each point."""
    if path is None:
        return None
    if (maps := images.array(path)) is None:
        return None
    if maps.shape[1:] == (1, 1):  # of a vector, which has no places
        return None
    if maps.ndim != 3 or len(maps) != points:
        text = f"skipped {path}: an array {maps.shape} beside {points} points of the curve"
        warnings.warn(text, stacklevel=2)
        return None
    return maps
