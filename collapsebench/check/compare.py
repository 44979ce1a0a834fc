"""``collapsebench compare A B``: two sets of rows, cell by cell, neither of them the right one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from collapsebench import stats
from collapsebench.check import select, sides, unlike
from collapsebench.check.rows import CellKey, names, percent, seeds_text, values
from collapsebench.check.select import Selection
from collapsebench.quantities import TESTED, Quantity
from collapsebench.settings import UserError


@dataclass(frozen=True)
class Compared:
    """One cell and metric on both sides.

    Attributes:
        a, b: geometric means, as the test's are; arithmetic where a value has no logarithm.
        seeds: how many have a value.
        diverged: how many have none because they diverged.
        word: "better", "worse", "same" or "can't tell", said of A; "only in A", "only in B".
        why: why nothing was tested, or why the other side has no such cell.
        change: of A's mean against B's, as a share; None where a side has none.
        low, high: its 95 % interval, None where nothing was tested.
        p: two-sided, adjusted by Holm over all lines; None where nothing was tested.
        borrowed: degrees of freedom that the other cells lent to the spread.
    """

    cell: str
    metric: str
    a: float | None
    b: float | None
    seeds: tuple[int, int]
    diverged: tuple[int, int]
    word: str
    why: str = ""
    change: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    borrowed: float = 0.0


def compare(
    a: str, b: str, given: Path | None = None, *, results: str = "results"
) -> list[Compared]:
    """Every cell of two sides, the largest difference first, then cells that one side lacks.

    ``sides.each`` says what a side may be.

    Raises:
        UserError: no such rows, nothing in common, or one training counted twice.
    """
    left, right = sides.each((a, b), results, given)
    for side in (left, right):
        select.refuse_repeats(side)
    titles = names(right.metrics) | names(left.metrics)
    diverged = select.diverged(left.runs), select.diverged(right.runs)
    families = [pairs(quantity, left, right) for quantity in TESTED]
    free = {name for word in (a, b) if "=" in word for name in sides.wish(word)}
    cells = unlike.cells(left, free), unlike.cells(right, free)
    if not any(mine and theirs for family in families for mine, theirs in family.values()):
        raise UserError(
            f"{a} and {b} have no cell in common: rows compare only within the same dataset, "
            "codebook, training and protocol; the nearest two differ in "
            f"{unlike.why_none(*cells)}"
        )
    changes = stats.changes(*(list(family.values()) for family in families))
    lines = []
    for quantity, family, tested in zip(TESTED, families, changes, strict=True):
        for (key, pair), change in zip(family.items(), tested, strict=True):
            lost = diverged[0][key[:-1]], diverged[1][key[:-1]]
            if not all(pair):
                own, others = cells if pair[0] else cells[::-1]
                change = stats.Change(why=unlike.why_alone(key, own, others))
            lines.append(line(titles[key], quantity, pair, lost, change))
    return sorted(lines, key=size)


def pairs(
    quantity: Quantity, left: Selection, right: Selection
) -> dict[CellKey, tuple[list[float], list[float]]]:
    """Cell -> its values on both sides; first the cells that both have."""
    a, b = values(left.metrics, quantity), values(right.metrics, quantity)
    both = [key for key in a if key in b]
    return {key: (a.get(key, []), b.get(key, [])) for key in dict.fromkeys([*both, *a, *b])}


def line(
    title: str,
    quantity: Quantity,
    pair: tuple[list[float], list[float]],
    diverged: tuple[int, int],
    change: stats.Change,
) -> Compared:
    """A cell's line from what was tested."""
    a, b = pair
    word = change.word(quantity.larger) if a and b else f"only in {'A' if a else 'B'}"
    low, high = change.interval() or (None, None)
    return Compared(
        title, quantity.name, mean(a), mean(b), (len(a), len(b)), diverged, word,
        change.why, change.change, low, high, change.p, change.borrowed,
    )  # fmt: skip


def size(line: Compared) -> tuple[bool, float]:
    """The key that puts the largest factor first, whichever way; then what has none."""
    if line.change is None:
        return True, 0.0
    factor = 1 + line.change
    return False, -max(factor, 1 / factor) if factor > 0 else -math.inf


def mean(seeds: Sequence[float]) -> float | None:
    """The geometric mean of positive values, else the arithmetic one; None of none."""
    if not seeds:
        return None
    return float(np.exp(np.mean(np.log(seeds))) if min(seeds) > 0 else np.mean(seeds))


def text(lines: Sequence[Compared], a: str, b: str) -> str:
    """One line per cell and metric; means are geometric, as the test's are."""
    return "\n".join(
        [
            *(f"{line.word:<10}  {line.cell} · {line.metric}: {numbers(line)}" for line in lines),
            f"better, worse: {a} than {b}, p adjusted by Holm over all lines; "
            f"same: shown to be within {percent(stats.MARGIN)}",
        ]
    )


def numbers(line: Compared) -> str:
    """What stands behind a line's word."""
    means = " and ".join("–" if mean is None else f"{mean:.4g}" for mean in (line.a, line.b))
    seeds = seeds_text("and", line.seeds, line.diverged, line.borrowed)
    if line.p is None or line.change is None or line.low is None or line.high is None:
        return f"{means}, {seeds}" + (f": {line.why}" if line.why else "")
    interval = f"{percent(line.low, '+')} … {percent(line.high, '+')}"
    change = f"({percent(line.change, '+')}, 95 % {interval})"
    return f"{means} {change}, {seeds}, p {stats.p_text(line.p)}"
