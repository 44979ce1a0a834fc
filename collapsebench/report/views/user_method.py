"""A user's method against each baseline: the difference, its interval and an adjusted p."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from collapsebench import quantities, stats
from collapsebench.report.cells import lent, mean
from collapsebench.report.data import Comparison, Group, ReportData, Variant
from collapsebench.report.tables import Cell, Number, Part, Row, Table

title = "Your method against the baselines"
section = "Your method"
place = 1


@dataclass(frozen=True)
class Quantity:
    """A metric that methods are compared by."""

    metric: str
    label: str
    split: str
    factor: float
    decimals: int
    larger: bool

    def values(self, group: Group, protocol: str) -> list[float]:
        """The seeds' values, as printed."""
        found = group.values(self.metric, self.split, protocol if self.metric == "gfd" else "")
        return [value * self.factor for value in found.values()]


QUANTITIES = (
    Quantity("perplexity", "perplexity ↑", "test", 1, 1, True),
    Quantity("mse", "MSE × 10³ ↓", "test", 1e3, 3, False),
    Quantity("gfd", "Fréchet distance of samples ↓", "train", 1, 2, False),
)


@dataclass(frozen=True)
class Pair:
    """The seeds of a user's method and of a baseline in one comparison.

    Attributes:
        diverged: how many seeds did, of both.
    """

    user: Variant
    baseline: Variant
    column: int
    mine: list[float]
    theirs: list[float]
    diverged: tuple[int, int]


@dataclass(frozen=True)
class Matrix:
    """What one metric compares: columns with their protocols, and pairs in them."""

    quantity: Quantity
    columns: Sequence[tuple[Comparison, str]]
    pairs: Sequence[Pair]


def build(data: ReportData) -> list[Table]:
    """One table per metric; none without a user's method or without a baseline beside it."""
    found = [matrix for quantity in QUANTITIES if (matrix := _matrix(data, quantity)).pairs]
    changes = stats.changes(*([(pair.mine, pair.theirs) for pair in m.pairs] for m in found))
    tests = sum(change.p is not None for tested in changes for change in tested)
    return [
        _table(data, matrix, tested, tests) for matrix, tested in zip(found, changes, strict=True)
    ]


def _matrix(data: ReportData, quantity: Quantity) -> Matrix:
    columns = [
        (comparison, protocol)
        for comparison, protocol in data.scored()
        if quantity.metric != "gfd" or (protocol and data.rankable(protocol))
    ]
    return Matrix(quantity, columns, list(_pairs(data, quantity, columns)))


def _pairs(
    data: ReportData, quantity: Quantity, columns: Sequence[tuple[Comparison, str]]
) -> Iterator[Pair]:
    for i, (comparison, protocol) in enumerate(columns):
        found = [
            (variant, group, quantity.values(group, protocol))
            for variant, group in data.column(comparison)
        ]
        for user, own, mine in found:
            for baseline, other, theirs in found:
                rivals = user.kind == "user" and baseline.kind not in ("user", "floor")
                if rivals and mine and theirs:
                    lost = own.count("diverged"), other.count("diverged")
                    yield Pair(user, baseline, i, mine, theirs, lost)


def _table(data: ReportData, matrix: Matrix, changes: Sequence[stats.Change], tests: int) -> Table:
    quantity, columns = matrix.quantity, matrix.columns
    cells: dict[tuple[Variant, Variant], list[Cell]] = {}
    for pair, change in zip(matrix.pairs, changes, strict=True):
        line = cells.setdefault(
            (pair.user, pair.baseline), [Cell({"difference": "–"})] * len(columns)
        )
        line[pair.column] = _cell(pair, change, quantity)
    users = list(dict.fromkeys(user.label for user, _ in cells))
    rows = [
        Row(_label(user, baseline, len(users) > 1), line, baseline.look)
        for (user, baseline), line in cells.items()
    ]
    caption = (
        f"{' or '.join(users)} minus each baseline: difference of means over seeds; the change of "
        "the geometric mean with its 95 % interval (moderated t-test with unequal variances, on "
        f"logarithms); p adjusted by Holm over all {tests} tests of this section, so that any "
        f"wrong verdict has a chance of {quantities.percent(stats.ALPHA, 0)}."
    )
    heads = [
        comparison.label
        + (f", {data.metric_label('gfd', protocol)}" if quantity.metric == "gfd" else "")
        for comparison, protocol in columns
    ]
    return Table(
        f"your-method-{quantity.metric}",
        f"{' and '.join(users)} against the baselines · {quantity.label}",
        caption, "baseline", heads, rows, "dataset", _notes(rows), ranked=False,
    )  # fmt: skip


def _notes(rows: Sequence[Row]) -> list[str]:
    """What "same" and borrowed degrees of freedom mean, where the table has them."""
    cells = [cell for row in rows for cell in row.cells]
    notes = []
    if any(cell.parts.get("verdict") == stats.SAME for cell in cells):
        margin = quantities.percent(stats.MARGIN, 0)
        notes.append(f"Same: shown to be within {margin} (two one-sided tests, Holm).")
    if any("borrowed" in cell.parts for cell in cells):
        notes.append("n + df: the tests borrow so much from the other cells' spreads.")
    return notes


def _label(user: Variant, baseline: Variant, several: bool) -> str:
    name = baseline.label + (f" (baseline {baseline.baseline})" if baseline.baseline else "")
    return f"{user.label} − {name}" if several else name


def _cell(pair: Pair, change: stats.Change, quantity: Quantity) -> Cell:
    digits = quantity.decimals
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
