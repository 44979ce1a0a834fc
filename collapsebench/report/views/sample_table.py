"""Density and coverage of prior samples, and everything again with three neighbours."""

from __future__ import annotations

from collapsebench.quantities import of
from collapsebench.report import sections
from collapsebench.report.data import ReportData
from collapsebench.report.measured import value_table
from collapsebench.report.tables import Table

title = "Samples against training images"
section = sections.GENERATION
place = 410

NAMES = ("precision", "recall", "density", "coverage")
COLUMNS = {q.column(): q for end in ("", "_k3") for q in (of(f"{name}{end}") for name in NAMES)}


def build(data: ReportData) -> list[Table]:
    """One table per dataset and scoring protocol, where samples were scored."""
    pairs = [(c, p) for c in data.focus for p in data.protocols_of(c, "coverage")]
    tables = []
    for i, (comparison, protocol) in enumerate(pairs):
        caption = "Mean ± SD over seeds (ddof 1)."
        if not data.rankable(protocol):
            caption += " Too few images to rank methods by."
        tables.append(
            value_table(data, f"samples-{i + 1}", title, caption, comparison, COLUMNS, protocol)
        )
    return [table for table in tables if table]
