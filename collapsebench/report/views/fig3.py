"""Fig. 3: uncertainty K/S against perplexity along training, with correlations."""

from __future__ import annotations

import numpy as np

from collapsebench.report import sections, style
from collapsebench.report.data import ReportData
from collapsebench.report.figures import Figure
from collapsebench.report.group import Group
from collapsebench.report.rows import Comparison, TableRow
from collapsebench.report.tables import Number, Table, TableLine, plain

title = "Fig. 3 · Uncertainty and perplexity"
section = sections.TRAINING
place = 520

COLUMNS = ("Pearson r, values", "Spearman ρ, values", "Pearson r, changes", "Spearman ρ, changes")


def build(data: ReportData) -> list[Figure | Table]:
    """The curves over training, one against the other, and how they correlate."""
    cells = [
        (variant, comparison, group)
        for comparison in data.focus
        for variant, group in data.leading(comparison)
        if len(data.curve(group, "uncertainty")[0]) > 2
    ]
    if not cells:
        return []
    drawing, axes = style.panels(len(cells), 3, 1.75)
    for row, cell in zip(axes, cells, strict=True):
        _draw(data, row, *cell)
    caption = (
        "On 512 fixed training items, mean over seeds. Left and middle: along training; right: "
        "one against the other, darker is later. Uncertainty is K / S of the Dirichlet posterior, "
        "mean over images and positions."
    )
    return [Figure("fig3", title, caption, {"": drawing}), _table(data, cells)]


Cells = list[tuple[TableRow, Comparison, Group]]


def _draw(
    data: ReportData, row: np.ndarray, variant: TableRow, comparison: Comparison, group: Group
) -> None:
    steps, uncertainty = data.curve(group, "uncertainty")
    _, perplexity = data.curve(group, "perplexity")
    u, p = uncertainty.mean(0), perplexity.mean(0)
    for ax, values, name in ((row[0], u, "uncertainty"), (row[1], p, "perplexity")):
        texts = [
            f"{variant.label} · step {s:,}: {name} {v:.3g}"
            for s, v in zip(steps, values, strict=True)
        ]
        style.series(
            ax,
            variant,
            steps,
            values,
            texts=texts,
            markers=False,
        )
        ax.xaxis.set_major_formatter(style.count)
        ax.set(xlabel="step", ylabel=name)
    row[0].set_title(f"{style.short(variant.label)}, {comparison.label}")
    row[2].scatter(u, p, c=np.arange(len(u)), cmap="viridis_r", s=9, linewidths=0)
    row[2].set(xlabel="uncertainty", ylabel="perplexity")


def _table(data: ReportData, cells: Cells) -> Table:
    rows = []
    for variant, comparison, group in cells:
        _, u = data.curve(group, "uncertainty")
        _, p = data.curve(group, "perplexity")
        numbers = correlations(u, p)
        label = f"{variant.label}, {comparison.label}"
        parts = [plain("constant" if np.isnan(n).all() else _number(n)) for n in numbers.T]
        rows.append(TableLine(label, parts, variant.look))
    caption = (
        "Correlation of uncertainty and perplexity over the logged steps, mean ± SD over seeds. "
        "Two quantities that both rise correlate whatever ties them; changes from one step to the "
        "next are the harder test."
    )
    return Table(
        "fig3-correlations", "Fig. 3 · Correlations", caption, "method", COLUMNS, rows, ranked=False
    )


def correlations(u: np.ndarray, p: np.ndarray) -> np.ndarray:
    """(seeds, 4): Pearson and Spearman of values (seeds, n), then of their differences."""
    pairs = [((a, b), (np.diff(a), np.diff(b))) for a, b in zip(u, p, strict=True)]
    return np.array(
        [
            [_correlation(kind, x, y) for x, y in pair for kind in ("pearsonr", "spearmanr")]
            for pair in pairs
        ]
    )


def _correlation(kind: str, x: np.ndarray, y: np.ndarray) -> float:
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    from scipy import stats  # takes a second to load, and not every grid has this figure

    return float(getattr(stats, kind)(x, y).statistic)


def _number(values: np.ndarray) -> Number:
    finite = values[np.isfinite(values)]
    return Number(float(finite.mean()), float(finite.std(ddof=1)) if len(finite) > 1 else None)
