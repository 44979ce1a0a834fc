"""A user's method against each baseline: the difference, its interval and an adjusted p."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from collapsebench import stats
from collapsebench.quantities import TESTED, Quantity, percent
from collapsebench.report import kinds, matrix, sections
from collapsebench.report.cells import lent, mean
from collapsebench.report.data import ReportData
from collapsebench.report.group import Group
from collapsebench.report.rows import Comparison, TableRow
from collapsebench.report.tables import Cell, Number, Part, Table, TableLine

title = "Your method against the baselines"
section = sections.YOUR_METHOD
place = 1

MANY = 3  # methods of the user's from which titles do not name them all


DECIMALS = {"mse": 3}  # of differences: they are smaller than what is printed elsewhere


@dataclass(frozen=True)
class Pair:
    """The seeds of a user's method and of a baseline in one comparison.

    Attributes:
        diverged: how many seeds did, of both.
    """

    user: TableRow
    baseline: TableRow
    column: int
    mine: list[float]
    theirs: list[float]
    diverged: tuple[int, int]


@dataclass(frozen=True)
class Asked:
    """What one metric compares: columns with their protocols, and pairs in them."""

    quantity: Quantity
    columns: Sequence[tuple[Comparison, str]]
    pairs: Sequence[Pair]


def build(data: ReportData) -> list[Table]:
    """One table per metric; none without a user's method or without a baseline beside it.

    Where it would be long, a matrix stands before it and it is folded.
    """
    compared = [asked for quantity in TESTED if (asked := _asked(data, quantity)).pairs]
    changes = stats.changes(*([(pair.mine, pair.theirs) for pair in a.pairs] for a in compared))
    tests = sum(change.p is not None for tested in changes for change in tested)
    return [
        table
        for asked, tested in zip(compared, changes, strict=True)
        for table in _tables(data, asked, tested, tests)
    ]


def _asked(data: ReportData, quantity: Quantity) -> Asked:
    columns = [
        (comparison, protocol)
        for comparison, protocol in data.scored()
        if not quantity.scored or (protocol and data.rankable(protocol))
    ]
    return Asked(quantity, columns, list(_pairs(data, quantity, columns)))


def _pairs(
    data: ReportData, quantity: Quantity, columns: Sequence[tuple[Comparison, str]]
) -> Iterator[Pair]:
    for i, (comparison, protocol) in enumerate(columns):
        cells = [
            (variant, group, _values(group, quantity, protocol))
            for variant, group in data.column(comparison)
        ]
        for user, own, mine in cells:
            for baseline, other, theirs in cells:
                rivals = user.kind == "user" and baseline.kind not in ("user", "floor")
                if rivals and mine and theirs:
                    lost = own.count("diverged"), other.count("diverged")
                    yield Pair(user, baseline, i, mine, theirs, lost)


def _values(group: Group, quantity: Quantity, protocol: str) -> list[float]:
    """The seeds' values, as printed."""
    place = quantity.split, protocol if quantity.scored else ""
    return quantity.printed(group.values(quantity.name, *place).values())


def _tables(
    data: ReportData, asked: Asked, changes: Sequence[stats.Change], tests: int
) -> list[Table]:
    quantity, pairs = asked.quantity, asked.pairs
    cells = [_cell(pair, change, quantity) for pair, change in zip(pairs, changes, strict=True)]
    headed = [(column[0], _heading(data, quantity, *column)) for column in asked.columns]
    title = f"{_named(pairs, ' and ')} against the baselines · {quantity.title}{quantity.arrow}"
    name = f"your-method-{quantity.name}"
    details = _details(name, title, [heading for _, heading in headed], pairs, cells)
    details = replace(details, caption=_caption(data, pairs, tests))
    if len(details.rows) <= kinds.MOST:
        return [details]
    marks = {
        (pair.user, pair.baseline, pair.column): matrix.mark(change, cell)
        for pair, change, cell in zip(pairs, changes, cells, strict=True)
    }
    shown = matrix.matrices(data, f"{name}-matrix", title, headed, marks)
    return [*shown, replace(details, title=f"{title}, details", folded=True)]


def _heading(data: ReportData, quantity: Quantity, comparison: Comparison, protocol: str) -> str:
    distance = f", {data.metric_label(quantity.name, protocol)}" if quantity.scored else ""
    return comparison.label + distance


def _named(pairs: Sequence[Pair], between: str) -> str:
    users = list(dict.fromkeys(pair.user.label for pair in pairs))
    return between.join(users) if len(users) < MANY else "Your methods"


def _details(
    name: str,
    title: str,
    heads: list[str],
    pairs: Sequence[Pair],
    cells: Sequence[Cell],
) -> Table:
    lines: dict[tuple[TableRow, TableRow], list[Cell]] = {}
    for pair, cell in zip(pairs, cells, strict=True):
        key = pair.user, pair.baseline
        lines.setdefault(key, [Cell({"difference": "–"})] * len(heads))[pair.column] = cell
    several = len({user for user, _ in lines}) > 1
    rows = [
        TableLine(_label(user, baseline, several), line, baseline.look)
        for (user, baseline), line in lines.items()
    ]
    return Table(name, title, "", "baseline", heads, rows, "dataset", _notes(rows), ranked=False)


def _caption(data: ReportData, pairs: Sequence[Pair], tests: int) -> str:
    return (
        f"{_named(pairs, ' or ')} minus each baseline: difference of means over seeds; the change "
        "of the geometric mean with its 95 % interval (moderated t-test with unequal variances, on "
        f"logarithms); p adjusted by Holm over all {tests} tests of this section, so that any "
        f"wrong verdict has a chance of {percent(stats.ALPHA, 0)}.{data.of_several}"
    )


def _notes(rows: Sequence[TableLine]) -> list[str]:
    """What "same" and borrowed degrees of freedom mean, where the table has them."""
    cells = [cell for row in rows for cell in row.cells]
    notes = []
    if any(cell.parts.get("verdict") == stats.SAME for cell in cells):
        margin = percent(stats.MARGIN, 0)
        notes.append(f"Same: shown to be within {margin} (two one-sided tests, Holm).")
    if any("borrowed" in cell.parts for cell in cells):
        notes.append("n + df: the tests borrow so much from the other cells' spreads.")
    return notes


def _label(user: TableRow, baseline: TableRow, several: bool) -> str:
    name = baseline.label + (f" (baseline {baseline.baseline})" if baseline.baseline else "")
    return f"{user.label} − {name}" if several else name


def _cell(pair: Pair, change: stats.Change, quantity: Quantity) -> Cell:
    digits = DECIMALS.get(quantity.name, quantity.decimals)
    delta = float(np.mean(pair.mine) - np.mean(pair.theirs))
    parts: dict[str, Part] = {"difference": Number(delta, None, digits, signed=True)}
    parts["seeds"] = f"{len(pair.mine)} and {len(pair.theirs)}"
    parts |= lent(change.borrowed)
    if change.change is not None and (interval := change.interval()):
        shares = (change.change, *interval)
        mid, low, high = (Number(100 * share, None, 0, signed=True) for share in shares)
        parts["change, %"] = f"{mid} ({low} … {high})"
    parts["p (Holm)"] = stats.p_text(change.p) if change.p is not None else f"no test: {change.why}"
    parts["yours"] = mean(pair.mine, digits) or "–"
    parts["baseline"] = mean(pair.theirs, digits) or "–"
    parts["verdict"] = change.word(quantity.larger)
    if any(pair.diverged):
        parts["note"] = f"diverged: {pair.diverged[0]} of yours, {pair.diverged[1]} of the baseline"
    return Cell(parts)
