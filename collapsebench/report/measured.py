"""Tables of measurements: methods down, comparisons or metrics across, with what to know below."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from collapsebench import stats
from collapsebench.metrics import COLLAPSED_DEFINITION
from collapsebench.quantities import Quantity, percent
from collapsebench.report.cells import (
    ALIKE,
    OTHER_TRAINING,
    UNFINISHED,
    Measure,
    mean,
    measured_cell,
    missing,
)
from collapsebench.report.data import ReportData
from collapsebench.report.group import Group
from collapsebench.report.rows import NOT_RUN, Comparison, TableRow
from collapsebench.report.tables import Cell, Number, Table, TableLine, plain
from collapsebench.report.what_ran import what_ran


def measured_table(
    data: ReportData, name: str, title: str, caption: str, measures: Sequence[Measure]
) -> Table | None:
    """Methods down, measures across; None if the grid has no such column."""
    rows = [v for v in data.variants if any((v, m.comparison) in data.groups for m in measures)]
    if not rows or not measures:
        return None
    standings = [_standings(data, rows, measure) for measure in measures]
    lines = []
    for variant in rows:
        cells = [
            measured_cell(
                data, data.groups.get((variant, measure.comparison)), measure, column.get(variant)
            )
            for measure, column in zip(measures, standings, strict=True)
        ]
        label = data.row_label(variant, [measure.comparison for measure in measures])
        lines.append(TableLine(label, cells, variant.look, variant.kind))
    return Table(
        name, title, caption, "method", [m.heading for m in measures], lines, "dataset",
        notes(data, measures, lines), _todo(data, rows, measures),
        any(m.ranked for m in measures),
    )  # fmt: skip


def _standings(
    data: ReportData, rows: Sequence[TableRow], measure: Measure
) -> dict[TableRow, stats.Rank]:
    """Where each method with a value stands in a column; none where values are not ranked."""
    if not measure.ranked:
        return {}
    cells = {
        variant: list(measure.values(group).values())
        for variant in rows
        if variant.kind != "floor" and (group := data.groups.get((variant, measure.comparison)))
    }
    measured = {variant: values for variant, values in cells.items() if values}
    return stats.standings(measured, measure.quantity.larger)


def notes(data: ReportData, measures: Sequence[Measure], lines: Sequence[TableLine]) -> list[str]:
    """What a reader must know of the words and marks that stand in these lines."""
    texts = " ".join(str(part) for row in lines for c in row.cells for part in c.parts.values())
    found = [*_ceiling_note(data, measures), *_rank_notes([c for row in lines for c in row.cells])]
    if "collapsed in" in texts:
        found.append(
            f"{COLLAPSED_DEFINITION[0].upper()}{COLLAPSED_DEFINITION[1:]}, on the test split."
        )
    if "bits per position" in texts:
        found.append(
            "Of several codebooks the worst decides: collapse, perplexity, usage. At an equal "
            "codebook size they have more bits per position than one, which is unfair to methods "
            "with one."
        )
    if OTHER_TRAINING in texts:
        found.append(
            f'"{OTHER_TRAINING}": these runs have other schedules, batches or network widths than '
            "the paper's; the difference is no verdict."
        )
    if any(verdict in texts for verdict in ("reproduced", "inconclusive", "differs")):
        margin = percent(stats.MARGIN, 0)
        found.append(
            f"Reproduced: equivalent to the published mean within {margin} (two one-sided tests); "
            "differs: not so, and different by Welch's test; else inconclusive. The paper's ± "
            "is a population SD (ddof 0) and is multiplied by √(3/2) first."
        )
    return found


def _rank_notes(cells: Sequence[Cell]) -> list[str]:
    """What bold, ≈ and borrowed degrees of freedom mean, where a table has them."""
    margin, level = percent(stats.MARGIN, 0), percent(stats.ALPHA, 0)
    notes = []
    if any(cell.bold for cell in cells):
        notes.append(
            f"Bold: the best mean, and what is shown to be within {margin} of it (two one-sided "
            f"tests, Holm, {level} a column); floors are not ranked."
        )
    if any(cell.mark for cell in cells):
        notes.append(
            f"{ALIKE}: can't be told from the best: neither shown to be within {margin} of it nor "
            f"to be worse (Bonferroni over all pairs, {level} a column). One seed tells nothing."
        )
    if any("borrowed" in cell.parts for cell in cells):
        notes.append(
            "n + df: the tests borrow so many degrees of freedom from the spreads of the column's "
            "other cells (moderated t-tests with unequal variances, on logarithms)."
        )
    return notes


def _ceiling_note(data: ReportData, measures: Sequence[Measure]) -> list[str]:
    """What even use of all codes would give, where the rows say it."""
    found = {
        measure.heading: f"{ceiling:.1f}"
        for measure in measures
        if measure.quantity.name.startswith("perplexity")
        and (ceiling := data.ceiling(measure.comparison, measure.quantity.name, measure.split))
    }
    if len(set(found.values())) == 1:
        return [f"Even use of all codes would give {next(iter(found.values()))}."]
    texts = [f"{heading}: {ceiling}" for heading, ceiling in found.items()]
    return [f"Even use of all codes would give {'; '.join(texts)}."] if texts else []


def _todo(data: ReportData, rows: Sequence[TableRow], measures: Sequence[Measure]) -> list[str]:
    """For each comparison with holes, what to type to fill them."""
    empty: dict[Comparison, list[str]] = defaultdict(list)
    for measure in measures:
        for variant in rows:
            group = data.groups.get((variant, measure.comparison))
            if group and any(job.status in (NOT_RUN, *UNFINISHED) for job in group.jobs):
                empty[measure.comparison].append(variant.method)
    return [
        f"Not complete: {comparison.label}. Run: {data.command(comparison, methods)}"
        for comparison, methods in empty.items()
    ]


def per_comparison(data: ReportData, measure: Callable[[Comparison], Measure]) -> list[Measure]:
    """One measure for each comparison of the grid."""
    return [measure(comparison) for comparison in data.comparisons]


def value_table(
    data: ReportData, name: str, title: str, caption: str, comparison: Comparison,
    columns: Mapping[str, Quantity], protocol: str = "",
) -> Table | None:  # fmt: skip
    """Methods down, quantities of one comparison across, by their headings.

    Columns without any value are left out.
    """
    rows = {
        variant: [_value(group, quantity, protocol) for quantity in columns.values()]
        for variant, group in data.column(comparison)
    }
    kept = [i for i in range(len(columns)) if any(numbers[i] for numbers in rows.values())]
    if not kept:
        return None
    lines = []
    for v, numbers in rows.items():
        cells = [plain(numbers[i] or "–") for i in kept]
        if not any(numbers):
            cells[0] = plain(missing(data.groups[v, comparison]))
        lines.append(TableLine(data.row_label(v, [comparison]), cells, v.look, v.kind))
    heads = [heading for i, heading in enumerate(columns) if i in kept]
    return Table(
        name, f"{title} · {comparison.label}", caption, "method", heads, lines,
        ran=what_ran(data, [comparison]),
    )  # fmt: skip


def _value(group: Group, quantity: Quantity, protocol: str) -> Number | None:
    values = group.values(quantity.name, quantity.split, protocol).values()
    return mean(quantity.printed(values), quantity.decimals)
