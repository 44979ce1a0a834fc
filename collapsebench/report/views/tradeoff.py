"""Reconstruction against even use of the codes: who is better in both, and the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from matplotlib.axes import Axes

from collapsebench.datasets import label as dataset_label
from collapsebench.quantities import Quantity, of
from collapsebench.report import multiples, sections, style
from collapsebench.report.data import ReportData
from collapsebench.report.figures import Figure
from collapsebench.report.group import Group
from collapsebench.report.multiples import Panel
from collapsebench.report.rows import Comparison, TableRow

title = "MSE against perplexity / codebook size"
section = sections.TRADE_OFF
place = 150

EVEN = of("relative_perplexity")
Point = tuple[float, float]  # both as printed
Cells = list[tuple[Comparison, Group, Point]]


def build(data: ReportData) -> list[Figure]:
    """One panel per dataset; several codebooks of a method are joined in order of size."""
    datasets = list(dict.fromkeys(c.dataset for c in data.comparisons))
    cells = {(v, d): own for v in data.variants for d in datasets if (own := _cells(data, v, d))}
    methods = [v for v in data.variants if any(v == variant for variant, _ in cells)]
    codebooks = {(c.dataset, c.codebook_size, c.code_dim) for c in data.comparisons}
    several = len(codebooks) < len(data.comparisons)
    caption = (
        "Test split, mean over seeds; right and down is better; hollow: a seed collapsed. Lines "
        "join the codebooks of one method from small to large"
        f"{', its trainings in the order of the grid' if several else ''}; dashed: the Pareto "
        "front of all but floors."
    )
    forms = {"": partial(_panels, data, cells)}
    caption += data.of_several
    errors = " or ".join(dict.fromkeys(data.error_of(d).bare for d in datasets))
    words = f"{errors[0].upper()}{errors[1:]} against {title.partition(' against ')[2]}"
    return multiples.figures("tradeoff", words, caption, datasets, methods, forms, 2.4)


def _cells(data: ReportData, variant: TableRow, dataset: str) -> Cells:
    """The method's measured codebooks on a dataset, from small to large."""
    cells = []
    for comparison in sorted(data.comparisons, key=lambda c: (c.codebook_size, c.code_dim)):
        group = data.groups.get((variant, comparison)) if comparison.dataset == dataset else None
        even, error = (
            quantity.printed(group.values(quantity.name, "test").values()) if group else []
            for quantity in (EVEN, data.error_of(dataset))
        )
        if group and even and error:
            cells.append((comparison, group, (float(np.mean(even)), float(np.mean(error)))))
    return cells


def _panels(
    data: ReportData, cells: dict[tuple[TableRow, str], Cells], dataset: str
) -> list[Panel]:
    error = data.error_of(dataset)
    own = {variant: points for (variant, where), points in cells.items() if where == dataset}
    ranked = [point for v, points in own.items() if v.kind != "floor" for *_, point in points]
    front = pareto(ranked)

    def line(ax: Axes, variant: TableRow) -> None:
        if variant in own:
            _draw(ax, variant, own[variant], error)

    def dress(ax: Axes) -> None:
        style.log_from_decade(ax)
        ax.set_xlim(0, min(ax.get_xlim()[1], style.SHARES[1]))
        if len(front) > 1:
            ax.step(*zip(*front, strict=True), where="post", color=style.QUIET, lw=0.9, ls="--",
                    label="Pareto front", zorder=1)  # fmt: skip

    return [Panel(dataset_label(dataset), EVEN.axis, error.axis, line, dress)]


def _draw(ax: Axes, variant: TableRow, cells: Cells, error: Quantity) -> None:
    texts = [
        f"{variant.label} · {c.codebook_size} × {group.first.code_dim}: {x:.1f} %, "
        f"{error.bare} {y:.{error.decimals}f}"
        for c, group, (x, y) in cells
    ]
    x, y = zip(*(point for *_, point in cells), strict=True)
    hollow = [group.collapsed > 0 for _, group, _ in cells]
    style.series(ax, variant, x, y, texts=texts, hollow=hollow)


def pareto(points: Sequence[Point]) -> list[Point]:
    """The points that no other beats in both (x larger, y smaller), by x."""
    best = [p for p in points if not any(q != p and q[0] >= p[0] and q[1] <= p[1] for q in points)]
    return sorted(set(best))
