"""A user's method against each baseline: the difference, its interval and an adjusted p."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from collapsebench import stats
from collapsebench.report import kinds, matrix, sections
from collapsebench.report.cells import mean
from collapsebench.report.data import Comparison, Group, ReportData, Variant
from collapsebench.report.tables import Cell, Number, Part, Row, Table

title = "Your method against the baselines"
section = sections.YOUR_METHOD
place = 1

MANY = 3  # methods of the user's from which titles do not name them all


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
    """The seeds of a user's method and of a baseline in one comparison."""

    user: Variant
    baseline: Variant
    column: int
    mine: list[float]
    theirs: list[float]


def build(data: ReportData) -> list[Table]:
    """One table per metric; none without a user's method or without a baseline beside it.

    Where it would be long, a matrix stands before it and it is folded.
    """
    tables = []
    for quantity in QUANTITIES:
        columns = [
            (comparison, protocol)
            for comparison, protocol in data.scored()
            if quantity.metric != "gfd" or (protocol and data.rankable(protocol))
        ]
        pairs = list(_pairs(data, quantity, columns))
        if pairs:
            tables += _tables(data, quantity, columns, pairs)
    return tables


def _pairs(
    data: ReportData, quantity: Quantity, columns: Sequence[tuple[Comparison, str]]
) -> Iterator[Pair]:
    for i, (comparison, protocol) in enumerate(columns):
        found = [(v, quantity.values(group, protocol)) for v, group in data.column(comparison)]
        for user, mine in found:
            for baseline, theirs in found:
                rivals = user.kind == "user" and baseline.kind not in ("user", "floor")
                if rivals and mine and theirs:
                    yield Pair(user, baseline, i, mine, theirs)


def _tables(
    data: ReportData, quantity: Quantity, columns: Sequence[tuple[Comparison, str]],
    pairs: Sequence[Pair],
) -> list[Table]:  # fmt: skip
    changes = stats.changes([(pair.mine, pair.theirs) for pair in pairs])
    cells = [_cell(pair, change, quantity) for pair, change in zip(pairs, changes, strict=True)]
    headed = [(column[0], _heading(data, quantity, *column)) for column in columns]
    title = f"{_named(pairs, ' and ')} against the baselines · {quantity.label}"
    name = f"your-method-{quantity.metric}"
    details = _details(data, name, title, [heading for _, heading in headed], pairs, cells)
    if len(details.rows) <= kinds.MOST:
        return [details]
    marks = {
        (pair.user, pair.baseline, pair.column): matrix.mark(change, cell)
        for pair, change, cell in zip(pairs, changes, cells, strict=True)
    }
    shown = matrix.matrices(data, f"{name}-matrix", title, headed, marks)
    return [*shown, replace(details, title=f"{title}, details", folded=True)]


def _heading(data: ReportData, quantity: Quantity, comparison: Comparison, protocol: str) -> str:
    distance = f", {data.metric_label('gfd', protocol)}" if quantity.metric == "gfd" else ""
    return comparison.label + distance


def _named(pairs: Sequence[Pair], between: str) -> str:
    users = list(dict.fromkeys(pair.user.label for pair in pairs))
    return between.join(users) if len(users) < MANY else "Your methods"


def _details(
    data: ReportData,
    name: str,
    title: str,
    heads: list[str],
    pairs: Sequence[Pair],
    cells: Sequence[Cell],
) -> Table:
    lines: dict[tuple[Variant, Variant], list[Cell]] = {}
    for pair, cell in zip(pairs, cells, strict=True):
        key = pair.user, pair.baseline
        lines.setdefault(key, [Cell({"difference": "–"})] * len(heads))[pair.column] = cell
    several = len({user for user, _ in lines}) > 1
    rows = [
        Row(_label(user, baseline, several), line, baseline.look)
        for (user, baseline), line in lines.items()
    ]
    caption = (
        f"{_named(pairs, ' or ')} minus each baseline: difference of means over seeds; the change "
        "of the geometric mean with its 95 % interval (moderated t-test on logarithms); p adjusted "
        f"by Holm over all {len(pairs)} comparisons of this table."
    )
    caption += data.of_several
    return Table(name, title, caption, "baseline", heads, rows, "dataset", ranked=False)


def _label(user: Variant, baseline: Variant, several: bool) -> str:
    name = baseline.label + (f" (baseline {baseline.baseline})" if baseline.baseline else "")
    return f"{user.label} − {name}" if several else name


def _cell(pair: Pair, tested: stats.Change | None, quantity: Quantity) -> Cell:
    digits = quantity.decimals
    delta = float(np.mean(pair.mine) - np.mean(pair.theirs))
    parts: dict[str, Part] = {"difference": Number(delta, None, digits, signed=True)}
    if tested is not None:
        shares = tested.change, tested.low, tested.high
        change, low, high = (Number(100 * share, None, 0, signed=True) for share in shares)
        parts["change, %"] = f"{change} ({low} … {high})"
    p = None if tested is None else tested.p
    parts["p (Holm)"] = p_text(p)
    parts["yours"] = mean(pair.mine, digits) or "–"
    parts["baseline"] = mean(pair.theirs, digits) or "–"
    parts["verdict"] = verdict(0.0 if tested is None else tested.change, p, quantity.larger)
    return Cell(parts)


def p_text(p: float | None) -> str:
    """p as printed; one seed on each side has none."""
    if p is None:
        return "no test"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def verdict(difference: float, p: float | None, larger: bool) -> str:
    """better, worse, or that it cannot be told."""
    if p is None or p >= stats.ALPHA:
        return "cannot tell"
    return "better" if (difference > 0) == larger else "worse"
