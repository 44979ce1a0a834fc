"""How evenly the codes are used: share of all tokens by rank, and cumulated."""

from __future__ import annotations

from functools import partial

import numpy as np
from matplotlib.axes import Axes

from collapsebench.report import multiples, sections, style
from collapsebench.report.data import ReportData
from collapsebench.report.figures import Figure
from collapsebench.report.multiples import Panel
from collapsebench.report.rows import Comparison, TableRow

title = "Codes by rank"
section = sections.CODEBOOK_USE
place = 320

HOVERED = 24  # ranks with a hover value
FORMS = ("cumulated", "each")


def build(data: ReportData) -> list[Figure]:
    """Cumulated share (the page's first form) and the share of each rank; one panel per dataset."""
    cells = {
        (variant, comparison): counts
        for comparison in data.focus
        for variant, group in data.column(comparison)
        if len(counts := data.counts(group))
    }
    methods = [v for v in data.variants if any(v == variant for variant, _ in cells)]
    caption = (
        "Test split, mean over seeds of the share at each rank. A line of the second form stops "
        "where codes are dead."
    )
    if data.of_several:
        caption += f"{data.of_several} Thin: the others."
    forms = {form: partial(_panels, cells, form) for form in FORMS}
    return multiples.figures("rank-frequency", title, caption, data.focus, methods, forms, 2.2)


Cells = dict[tuple[TableRow, Comparison], np.ndarray]  # counts (seeds, Q, K)


def _panels(cells: Cells, form: str, comparison: Comparison) -> list[Panel]:
    size = comparison.codebook_size
    ranks = np.arange(1, size + 1)

    def line(ax: Axes, variant: TableRow) -> None:
        if (counts := cells.get((variant, comparison))) is not None:
            _lines(ax, variant, ranks, counts, form)

    def dress(ax: Axes) -> None:
        even = 100 * ranks / size if form == "cumulated" else np.full(size, 100 / size)
        ax.plot(ranks, even, color=style.INK, lw=0.8, ls="--", label="all codes alike")
        ax.set_xlim(0, size * 1.01)
        if form == "each":
            style.log_y(ax)
        else:
            ax.set_ylim(style.SHARES)

    xlabel, ylabel = "codes, most used first", "share of tokens, %"
    return [Panel(comparison.label, xlabel, ylabel, line, dress, ends=False)]


def shares(counts: np.ndarray, cumulated: bool) -> np.ndarray:
    """Counts (seeds, K) -> mean share of all tokens in % by rank (K,); NaN for dead ranks."""
    ordered = -np.sort(-counts, axis=1)
    each = 100 * ordered / ordered.sum(1, keepdims=True)
    if cumulated:
        return np.cumsum(each, axis=1).mean(0)
    mean = each.mean(0)
    return np.where(mean > 0, mean, np.nan)


WORDS = {
    "cumulated": "the first {} codes have {:.1f} % of the tokens",
    "each": "code of rank {} has {:.3g} % of the tokens",
}


def _lines(
    ax: style.Axes, variant: TableRow, ranks: np.ndarray, counts: np.ndarray, form: str
) -> None:
    """One method's counts (seeds, Q, K): its worst codebook, the others as thin lines."""
    share, *others = (shares(each, form == "cumulated") for each in counts.swapaxes(0, 1))
    for other in others:
        (thin,) = ax.plot(ranks, other, color=variant.look.color, lw=0.5, alpha=0.45)
        style.tag(thin, variant.label)
    style.series(ax, variant, ranks, share, markers=False)
    chosen = np.unique(np.linspace(0, len(ranks) - 1, HOVERED).round().astype(int))
    chosen = chosen[np.isfinite(share[chosen])]
    texts = [f"{variant.label} · {WORDS[form].format(ranks[i], share[i])}" for i in chosen]
    style.drawing(ax).remember(ax, variant.label, ranks[chosen], share[chosen], texts)
