"""A user's methods against many baselines at a glance: one mark and number for each pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from collapsebench import stats
from collapsebench.report.cells import missing
from collapsebench.report.data import ReportData
from collapsebench.report.rows import Comparison, TableRow
from collapsebench.report.tables import Cell, Number, Table, TableLine
from collapsebench.report.what_ran import what_ran

MARKS = {stats.BETTER: "✓", stats.WORSE: "✗", stats.SAME: "=", stats.CANT_TELL: "≈"}
CAPTION = (
    "Change of the geometric mean from each baseline to yours, in %: ✓ better, ✗ worse, = the "
    "same, ≈ can't tell. Intervals and p are in the details below."
)

Columns = Sequence[tuple[Comparison, str]]  # and its heading
MatrixKey = tuple[TableRow, TableRow, int]  # user's method, baseline, index of the column


def mark(change: stats.Change, details: Cell) -> Cell:
    """The short form of a cell: change and verdict; on hover everything."""
    hover = "\n".join(f"{name} {part}" for name, part in details.parts.items())
    if change.change is None:
        return Cell({"": "no test"}, hover=hover)
    sign = MARKS[str(details.parts["verdict"])]
    return Cell({"": Number(100 * change.change, None, 0, True, sign)}, hover=hover)


def matrices(
    data: ReportData, name: str, title: str, columns: Columns, cells: Mapping[MatrixKey, Cell]
) -> list[Table]:
    """Baselines down; across the columns for a single method of the user's.

    For several there is a table for each column, methods across: in focus, then the others, folded.
    """
    users = list(dict.fromkeys(user for user, *_ in cells))
    if len(users) == 1:
        across = {heading: (users[0], i) for i, (_, heading) in enumerate(columns)}
        return [_table(data, name, title, columns, cells, across)]
    tables = []
    for i, (comparison, heading) in sorted(
        enumerate(columns), key=lambda column: column[1][0] not in data.focus
    ):
        across = {user.label: (user, i) for user in users}
        words = f"{title} · {heading}" if len(columns) > 1 else title
        table = _table(data, f"{name}-{i + 1}", words, columns, cells, across)
        tables.append(replace(table, folded=comparison not in data.focus))
    return tables


def _table(
    data: ReportData, name: str, title: str, columns: Columns, cells: Mapping[MatrixKey, Cell],
    across: Mapping[str, tuple[TableRow, int]],
) -> Table:  # fmt: skip
    compared = {baseline for _, baseline, _ in cells}
    comparisons = [columns[i][0] for _, i in across.values()]
    rows = []
    for baseline in (variant for variant in data.variants if variant in compared):
        line = [
            cells.get((user, baseline, i)) or _absent(data, baseline, columns[i][0])
            for user, i in across.values()
        ]
        label = data.row_label(baseline, comparisons)
        rows.append(TableLine(label, line, baseline.look, baseline.kind))
    return Table(
        name, title, CAPTION, "baseline", list(across), rows, ran=what_ran(data, comparisons)
    )


def _absent(data: ReportData, baseline: TableRow, comparison: Comparison) -> Cell:
    """In a word why a pair cannot be compared; on hover the reason."""
    group = data.groups.get((baseline, comparison))
    reason = missing(group) if group else "–"
    return Cell({"": reason.partition(":")[0]}, hover=reason)
