"""``collapsebench order A B …``: does the order of the methods in one place stand in the next?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

from collapsebench.check import rows, select, sides
from collapsebench.check.select import Selection
from collapsebench.quantities import TESTED, Quantity
from collapsebench.settings import UserError
from collapsebench.stats import orders

PLACE = ("dataset", "codebook_size")  # an order is of cells that share them
SHOWN = 3  # cells that changed places most, in print
Seeds = dict[tuple[str, str], list[float]]  # (where, label) -> the seeds of a cell


@dataclass(frozen=True)
class HeldOrder:
    """The order of one metric, of one data set and codebook size, on two sides.

    Attributes:
        where: "digits · 64", the data set and the codebook size.
        cells: their labels, in the order of ``agreement.ranks``.
        fewest: seeds of the cell that has fewest.
    """

    a: str
    b: str
    where: str
    metric: str
    cells: tuple[str, ...]
    fewest: int
    agreement: orders.Agreement


def compare(words: Sequence[str], results: str, given: Path | None = None) -> list[HeldOrder]:
    """Each side against the next one, by metric, data set and codebook size.

    Cells are paired by their names, so that sides may differ in anything else: their length, their
    data, the network. Code dimensions may differ within an order, for some follow from the size.

    Args:
        words: what ``sides.each`` takes, at least two.
        results: where settings choose, a tag or a folder.
        given: where baselines are looked for, else the usual places.

    Raises:
        UserError: no such rows, a name that two cells of a side share, or nothing in common.
    """
    if len(words) < 2:
        raise UserError(
            f"an order is held against another: give two sides or more, not {len(words)}"
        )
    chosen = sides.each(words, results, given)
    for side in chosen:
        select.refuse_repeats(side)
    free = {name for word in words if "=" in word for name in sides.wish(word)}
    place = [column for column in PLACE if column not in free]
    found = [
        comparison
        for quantity in TESTED
        for left, right in pairwise(chosen)
        for comparison in of_metric(quantity, left, right, place)
    ]
    if not found:
        raise UserError(f"{' and '.join(words)}: no two cells stand on both sides")
    return found


def of_metric(
    quantity: Quantity, left: Selection, right: Selection, place: Sequence[str]
) -> list[HeldOrder]:
    """The orders of one metric within each ``place``, where both sides have two cells at least."""
    a, b = seeds(quantity, left, place), seeds(quantity, right, place)
    both = sorted(key for key in a if key in b)
    found = []
    for where, group in groupby(both, key=lambda key: key[0]):
        keys = list(group)
        if len(keys) < 2:
            continue
        pairs = [a[key] for key in keys], [b[key] for key in keys]
        fewest = min(len(cell) for side in pairs for cell in side)
        labels = tuple(label for _, label in keys)
        found.append(
            HeldOrder(left.name, right.name, where, quantity.name, labels, fewest,
                       orders.agreement(*pairs))
        )  # fmt: skip
    return found


def seeds(quantity: Quantity, side: Selection, place: Sequence[str]) -> Seeds:
    """The seeds of each cell of a side.

    Raises:
        UserError: two cells share their names.
    """
    found: Seeds = {}
    cells = side.metrics.fillna({"protocol": ""}).drop_duplicates(rows.CELL)
    named = {tuple(row[c] for c in rows.CELL): row for row in cells.to_dict("records")}
    for key, values in rows.values(side.metrics, quantity).items():
        row = named[key]
        name = " · ".join(str(row[column]) for column in place), row["label"]
        if name in found:
            raise UserError(f"{side.name}: two cells are called {name[1]} on {name[0]}")
        found[name] = values
    return found


def as_dict(comparison: HeldOrder) -> dict[str, Any]:
    """A comparison with its word, for JSON; what cannot be told is null."""
    found = comparison.agreement
    numbers = {"tau": found.tau, "low": found.low, "high": found.high,
               "by_seeds": found.by_seeds}  # fmt: skip
    facts = {key: None if math.isnan(value) else value for key, value in numbers.items()}
    ranks = dict(zip(comparison.cells, found.ranks, strict=True))
    names = {key: getattr(comparison, key) for key in ("a", "b", "where", "metric", "fewest")}
    return names | {"word": found.word} | facts | {"ranks": ranks}


def text(comparisons: Sequence[HeldOrder]) -> str:
    """One line per order, and what the words mean."""
    return "\n".join([*map(line, comparisons), LEGEND])


LEGEND = f"""\
tau: Kendall's tau-b, its 95 % bootstrap interval over seeds, and what other
seeds alone would leave of it. stands: tau at least {orders.ENOUGH:g}, the interval
above {orders.LEAST:g}. moves: below {orders.ENOUGH:g} and what seeds alone would leave."""


def line(comparison: HeldOrder) -> str:
    """The verdict of one order, what is behind it, and who moved."""
    found, where = comparison.agreement, comparison.where
    interval = (
        "(no interval: a cell has one seed)"
        if math.isnan(found.low)
        else f"({found.low:.2f} … {found.high:.2f}; by seeds alone ≥ {found.by_seeds:.2f})"
    )
    moved = sorted(
        zip(comparison.cells, found.ranks, strict=True),
        key=lambda cell: abs(cell[1][0] - cell[1][1]),
        reverse=True,
    )
    movers = [f"{label} {before} -> {after}" for label, (before, after) in moved if before != after]
    counts = f"{len(comparison.cells)} cells, ≥ {comparison.fewest} seeds"
    lines = [
        f"{found.word:<10}  {comparison.metric} · {where}: tau {found.tau:.2f} {interval}",
        f"{comparison.a} -> {comparison.b}, {counts}",
        *([f"moved: {', '.join(movers[:SHOWN])}"] if movers else []),
    ]
    return "\n            ".join(lines)
