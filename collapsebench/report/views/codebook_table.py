"""What else there is to say about each codebook: usage, dead codes, rank, entropies."""

from __future__ import annotations

from collapsebench.report import sections
from collapsebench.report.data import ReportData
from collapsebench.report.measured import Column, value_table
from collapsebench.report.tables import Table

title = "Codebook"
section = sections.CODEBOOK_USE
place = 310

COLUMNS = (
    Column("perplexity", "perplexity", decimals=1),
    Column("relative, %", "relative_perplexity", factor=100, decimals=1),
    Column("usage, %", "usage", factor=100, decimals=1),
    Column("dead codes", "dead_codes", decimals=1),
    Column("effective rank", "effective_rank"),
    Column("duplicate codes", "duplicate_codes", decimals=1),
    Column("posterior entropy, nats", "entropy_mean"),
    Column("mutual information, nats", "mutual_information"),
)


def build(data: ReportData) -> list[Table]:
    """One table per dataset."""
    caption = f"Test split, all tokens pooled; mean ± SD over seeds (ddof 1).{data.of_several}"
    tables = [
        value_table(data, f"codebook-{i + 1}", title, caption, comparison, COLUMNS)
        for i, comparison in enumerate(data.focus)
    ]
    return [table for table in tables if table]
