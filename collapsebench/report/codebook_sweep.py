"""Fig. 6: the six methods against the codebook's size or the dimension of its codes."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from collapsebench.report import sweep
from collapsebench.report.data import Comparison, Group, ReportData, Variant
from collapsebench.report.figures import Figure

Axis = Literal["codebook_size", "code_dim"]
OTHER: dict[Axis, Axis] = {"codebook_size": "code_dim", "code_dim": "codebook_size"}


def build(data: ReportData, name: str, title: str, axis: Axis, xlabel: str) -> list[Figure]:
    """Relative perplexity, and as its other form the paper's raw one; MSE below both.

    Where the other axis varies too, its most frequent value is drawn.
    """
    others = Counter(getattr(c, OTHER[axis]) for c in data.comparisons)
    fixed = others.most_common(1)[0][0]

    def x(variant: Variant, comparison: Comparison, group: Group) -> float | None:
        return getattr(comparison, axis) if getattr(comparison, OTHER[axis]) == fixed else None

    found = sweep.points(data, x)
    ticks = sorted({value for cells in found.values() for value, _ in cells})
    if len(ticks) < 2:
        return []
    fixed_words = f"code dimension {fixed}" if axis == "codebook_size" else f"codebook size {fixed}"

    def bound(value: float) -> float:
        return value if axis == "codebook_size" else fixed

    caption = (
        f"Test split, {fixed_words}; {sweep.BAND}. 100 % = every code used equally often. The "
        "paper's figure prints no numbers to compare with."
    )
    caption += data.of_several
    forms = {
        "relative": sweep.draw(found, [sweep.RELATIVE, sweep.MSE], xlabel, ticks),
        "raw": sweep.draw(found, [sweep.RAW, sweep.MSE], xlabel, ticks, bound=bound),
    }
    return [Figure(name, title, caption, forms)]
