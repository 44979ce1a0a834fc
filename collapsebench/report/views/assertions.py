"""Published claims, each with what these rows say of it."""

from __future__ import annotations

import math

from collapsebench import stats
from collapsebench.quantities import of, percent
from collapsebench.report import sections
from collapsebench.report.assertions import ALL_CODES, ASSERTIONS, FLAT, NEARLY_ALL, Judged, judged
from collapsebench.report.cells import seeds
from collapsebench.report.data import ReportData
from collapsebench.report.group import Group
from collapsebench.report.tables import Cell, Table, TableLine, plain
from collapsebench.report.what_ran import what_ran

title = "What these rows say of each"
section = sections.CLAIMS
place = 60

SMALLEST, LARGEST = 0.01, 1000  # ratios that are printed; what lies beyond says no more

COLUMNS = ("verdict", "measured", "interval", "seeds", "in print", "who says so", "cells")


def build(data: ReportData) -> list[Table]:
    """One line per assertion that these cells can be asked about."""
    found = judged(data)
    if not found:
        return []
    level = percent(1 - stats.ALPHA, 0)
    caption = (
        "Test split. A ratio is of geometric means, with an interval of the moderated test of all "
        "tables; a share is a mean with a t-interval. Each claim is a question of its own: "
        f"intervals are at {level} for all its lines together (Bonferroni), and of "
        f"{round(1 / stats.ALPHA)} claims chance may decide one. A claim is supported if the whole "
        "interval agrees with it, contradicted if none of it does; what is shown to be the same "
        f"within {percent(stats.MARGIN, 0)} contradicts more and less. All codes: "
        f"{percent(ALL_CODES, 0)} of them; nearly all: {percent(NEARLY_ALL, 0)}; no growth: within "
        f"a factor of {FLAT:g}."
    )
    rows = [TableLine(one.assertion.words, _cells(data, one)) for one in found]
    asked = {data.comparison(g.first) for one in found for g in (one.a, one.b) if g}
    ran = what_ran(data, [c for c in data.comparisons if c in asked])
    count = len({one.assertion.words for one in found})
    more = f"{count} of {len(ASSERTIONS)} claims; cells for all: collapsebench run --grid claims"
    notes = [more] if count < len(ASSERTIONS) else []
    return [
        Table(
            "assertions", title, caption, "claim", COLUMNS, rows, notes=notes, ranked=False, ran=ran
        )
    ]


def _cells(data: ReportData, one: Judged) -> list[Cell]:
    parts = [
        f"{one.verdict}: {one.why}" if one.why else one.verdict,
        _measured(one),
        _interval(one),
        " / ".join(_seeds(one, group) for group in (one.a, one.b) if group),
        one.assertion.printed or "–",
        one.assertion.source,
        " / ".join(_name(data, group) for group in (one.a, one.b) if group),
    ]
    return [plain(part) for part in parts]


def _name(data: ReportData, group: Group) -> str:
    """Method and sizes; where others of these sizes are measured elsewhere, where this one is."""
    here, job = data.comparison(group.first), group.first
    name = f"{data.variant(job).label} {job.codebook_size}\u00a0×\u00a0{job.code_dim}"
    sizes = [(c.codebook_size, c.code_dim) for c in data.comparisons]
    alone = sizes.count((here.codebook_size, here.code_dim)) == 1
    return name if alone else f"{name} ({here.label})"


def _seeds(one: Judged, group: Group) -> str:
    return seeds(len(one.values(group)), len(group.jobs))


def _measured(one: Judged) -> str:
    """The quantity of both cells, or of the one."""
    quantity = of(one.assertion.quantity)
    numbers = [
        sum(values) / len(values)
        for group in (one.a, one.b)
        if group and (values := quantity.printed(one.values(group)))
    ]
    unit = f"\u00a0{quantity.unit}" if quantity.unit else ""
    return f"{quantity.title} " + " / ".join(f"{n:.{quantity.decimals}f}{unit}" for n in numbers)


def _interval(one: Judged) -> str:
    """Of the ratio, or of the quantity where there is but one cell."""
    if math.isnan(one.low):
        return "–"
    if one.b:
        return f"× {ratio(one.low)} … {ratio(one.high)}"
    quantity = of(one.assertion.quantity)
    low, high = quantity.printed([one.low, one.high])
    return f"{low:.{quantity.decimals}f} … {high:.{quantity.decimals}f}"


def ratio(value: float) -> str:
    """An end of a ratio's interval: with two seeds it may be as good as none."""
    if value < SMALLEST:
        return f"< {SMALLEST:g}"
    return f"> {LARGEST:g}" if value > LARGEST else f"{value:.2f}"
