"""``collapsebench compare A B``: two sets of rows, cell by cell, neither of them the right one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from collapsebench import stats
from collapsebench.check import sides
from collapsebench.check.rows import QUANTITIES, Quantity, names, percent, values
from collapsebench.settings import UserError


@dataclass(frozen=True)
class Line:
    """One cell and metric on both sides.

    Attributes:
        change: of A's mean against B's, as a share; None where one side has no value.
        low, high: its 95 % interval, None without a spread to judge by.
        p: two-sided, adjusted by Holm over the cells of the metric.
        word: "better", "worse" or "can't tell", said of A; "only in A", "only in B".
    """

    cell: str
    metric: str
    a: float | None
    b: float | None
    seeds: tuple[int, int]
    change: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    word: str = ""


def compare(a: str, b: str, given: Path | None = None, *, results: str = "results") -> list[Line]:
    """Every cell of two sides, by metric; ``sides.sides`` says what a side may be.

    Raises:
        UserError: no such rows, or nothing in common.
    """
    left, right = sides.sides(a, b, results, given)
    titles = names(right.metrics) | names(left.metrics)
    lines = [
        line
        for quantity in QUANTITIES
        for line in _lines(quantity, values(left.metrics, quantity),
                           values(right.metrics, quantity), titles)
    ]  # fmt: skip
    if not any(line.change is not None for line in lines):
        raise UserError(
            f"{a} and {b} have no cell in common: rows compare only within the same dataset, "
            "codebook, training and protocol"
        )
    return lines


def _lines(
    quantity: Quantity, a: dict[Any, list[float]], b: dict[Any, list[float]],
    titles: dict[Any, str],
) -> list[Line]:  # fmt: skip
    both = [key for key in a if key in b]
    tested = dict(zip(both, stats.changes([(a[key], b[key]) for key in both]), strict=True))
    lines = []
    for key in [*both, *(k for k in a if k not in b), *(k for k in b if k not in a)]:
        mine, theirs = a.get(key, []), b.get(key, [])
        line = Line(
            titles[key], quantity.metric, _mean(mine), _mean(theirs), (len(mine), len(theirs))
        )
        change = tested.get(key)
        facts = asdict(line) | (asdict(change) if change else {})
        lines.append(Line(**facts | {"word": word(facts, quantity)}))
    return lines


def _mean(seeds: list[float]) -> float | None:
    return float(np.exp(np.mean(np.log(seeds)))) if seeds else None


def word(facts: dict[str, Any], quantity: Quantity) -> str:
    """What a line says of A in one word."""
    if facts["a"] is None or facts["b"] is None:
        return "only in B" if facts["a"] is None else "only in A"
    if facts["p"] is None or facts["p"] >= stats.ALPHA:
        return "can't tell"
    return "better" if (facts["change"] > 0) == quantity.larger else "worse"


def text(lines: Sequence[Line], a: str, b: str) -> str:
    """One line per cell and metric; means are geometric, as the test's are."""
    return "\n".join(
        f"{line.word:<10}  {line.cell} · {line.metric}: {numbers(line)}" for line in lines
    ) + (f"\nbetter, worse: {a} than {b}, p adjusted by Holm over the cells of a metric")


def numbers(line: Line) -> str:
    """What stands behind a line's word."""
    means = " and ".join("–" if mean is None else f"{mean:.4g}" for mean in (line.a, line.b))
    seeds = f"{line.seeds[0]} and {line.seeds[1]} seeds"
    if line.change is None or line.low is None or line.high is None:
        return f"{means}, {seeds}"
    interval = f"{percent(line.low, '+')} … {percent(line.high, '+')}"
    return f"{means} ({percent(line.change, '+')}, 95 % {interval}), {seeds}, p {line.p:.2g}"
