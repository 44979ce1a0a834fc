"""Fig. 6: methods against the codebook's size or the dimension of its codes."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from collapsebench.report import sweep
from collapsebench.report.data import ReportData
from collapsebench.report.figures import Figure
from collapsebench.report.group import Group
from collapsebench.report.rows import Comparison, TableRow

Dimension = Literal["codebook_size", "code_dim"]
OTHER: dict[Dimension, Dimension] = {"codebook_size": "code_dim", "code_dim": "codebook_size"}
WORDS = {"codebook_size": "codebook size", "code_dim": "code dimension"}


def build(data: ReportData, name: str, title: str, swept: Dimension) -> list[Figure]:
    """Relative perplexity, and as its other form the paper's raw one; the error below both.

    Where the other dimension varies too, its most frequent value is drawn. One figure, or one for
    each dataset where methods are many.
    """
    fixed = Counter(getattr(c, OTHER[swept]) for c in data.comparisons).most_common(1)[0][0]
    lines = sweep.points(data, _place(data, swept, fixed))
    if all(len({value for value, _ in cells}) < 2 for cells in lines.values()):
        return []

    def bound(value: float) -> float:
        return value if swept == "codebook_size" else fixed

    ticks = sorted({value for cells in lines.values() for value, _ in cells})
    axis = sweep.Axis(WORDS[swept], ticks, bound=bound)
    caption = (
        f"Test split, {WORDS[OTHER[swept]]} {fixed}; {sweep.BAND}. 100 % = every code used equally "
        "often. The paper's figure prints no numbers to compare with."
    )
    caption += data.of_several
    if any(group.own_dim for cells in lines.values() for _, group in cells):
        caption += " A method whose code dimension follows from the codebook size has that one."
    forms = {"relative": sweep.RELATIVE, "raw": sweep.RAW}
    return sweep.figures(data, name, title, caption, lines, forms, axis)


def _place(data: ReportData, swept: Dimension, fixed: int) -> sweep.X:
    """Where a cell is drawn: at the dimension that it really has."""
    sizes = {(c.codebook_size, c.code_dim) for c in data.comparisons}

    def size(variant: TableRow, comparison: Comparison, group: Group) -> float | None:
        at = comparison.codebook_size
        drawn = comparison.code_dim == fixed or (at, fixed) not in sizes or group.own_dim
        return at if drawn else None

    def dim(variant: TableRow, comparison: Comparison, group: Group) -> float | None:
        return group.first.code_dim if comparison.codebook_size == fixed else None

    return size if swept == "codebook_size" else dim
