"""What else there is to say about each codebook: usage, dead codes, rank, entropies."""

from __future__ import annotations

from collapsebench.quantities import of
from collapsebench.report import sections
from collapsebench.report.data import ReportData
from collapsebench.report.measured import value_table
from collapsebench.report.tables import Table

title = "Codebook"
section = sections.CODEBOOK_USE
place = 310

COLUMNS = ("perplexity", "relative_perplexity", "usage", "dead_codes", "effective_rank",
           "duplicate_codes", "entropy_mean", "mutual_information")  # fmt: skip


def build(data: ReportData) -> list[Table]:
    """One table per dataset; what a method or a metric of one's own adds comes last."""
    caption = f"Test split, all tokens pooled; mean ± SD over seeds (ddof 1).{data.of_several}"
    names = dict.fromkeys([*COLUMNS, *data.undescribed("encode")])
    columns = {quantity.column(): quantity for quantity in map(of, names)}
    tables = [
        value_table(data, f"codebook-{i + 1}", title, caption, comparison, columns)
        for i, comparison in enumerate(data.focus)
    ]
    return [table for table in tables if table]
