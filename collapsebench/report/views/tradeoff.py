"""Reconstruction against usage: who is better in both, and the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from collapsebench.datasets import label as dataset_label
from collapsebench.report import sections, style
from collapsebench.report.data import Comparison, ReportData, Variant
from collapsebench.report.figures import Figure

title = "MSE against usage"
section = sections.TRADE_OFF
place = 150

Point = tuple[float, float]


def build(data: ReportData) -> list[Figure]:
    """One panel per dataset; several codebooks of a method are joined in order of size."""
    datasets = list(dict.fromkeys(c.dataset for c in data.comparisons))
    drawing, axes = style.panels(1, len(datasets), 2.4, style.width(len(datasets)))
    for ax, dataset in zip(axes[0], datasets, strict=True):
        columns = [c for c in data.comparisons if c.dataset == dataset]
        columns.sort(key=lambda c: (c.codebook_size, c.code_dim))
        found = [
            point
            for v in data.variants
            if v.kind != "floor"
            for point in _draw(data, ax, v, columns)
        ]
        front = pareto(found)
        if len(front) > 1:
            ax.step(*zip(*front, strict=True), where="post", color=style.QUIET, lw=0.9, ls="--",
                    label="Pareto front", zorder=1)  # fmt: skip
        ax.set(
            title=dataset_label(dataset),
            xlabel="perplexity / codebook size, %",
        )
    axes[0, 0].set_ylabel("MSE × 10³")
    if not drawing.points:
        return []
    style.legend(drawing, axes.flat)
    caption = (
        "Test split, mean over seeds; right and down is better. Lines join the codebooks of one "
        "method from small to large; dashed: the Pareto front of what is drawn."
    )
    caption += data.of_several
    return [Figure("tradeoff", title, caption, {"": drawing})]


def _draw(
    data: ReportData, ax: style.Axes, variant: Variant, columns: Sequence[Comparison]
) -> list[Point]:
    points, texts = [], []
    for comparison in columns:
        group = data.groups.get((variant, comparison))
        usage = group.values("relative_perplexity", "test").values() if group else []
        mse = group.values("mse", "test").values() if group else []
        if usage and mse:
            x, y = 100 * float(np.mean(list(usage))), 1e3 * float(np.mean(list(mse)))
            points.append((x, y))
            size = f"{comparison.codebook_size} × {comparison.code_dim}"
            texts.append(f"{variant.label} · {size}: {x:.1f} %, MSE {y:.2f}")
    if points:
        style.series(ax, variant, *zip(*points, strict=True), texts=texts)
    return points


def pareto(points: Sequence[Point]) -> list[Point]:
    """The points that no other beats in both (x larger, y smaller), by x."""
    best = [p for p in points if not any(q != p and q[0] >= p[0] and q[1] <= p[1] for q in points)]
    return sorted(set(best))
