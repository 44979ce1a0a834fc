"""The second-stage prior: likelihood of tokens beside what counting alone gives."""

from __future__ import annotations

from dataclasses import replace

from collapsebench.quantities import of
from collapsebench.report import sections
from collapsebench.report.data import ReportData
from collapsebench.report.measured import value_table
from collapsebench.report.tables import Table

title = "Prior"
section = sections.GENERATION
place = 420

TOLD_APART = (("nll", "train"), ("nll", "test"), ("bits_per_token", "test"),
              ("unigram_entropy", "test"), ("prior_gain", "test"))  # fmt: skip
COLUMNS = {of(name).column(split): replace(of(name), split=split) for name, split in TOLD_APART}
COLUMNS |= {q.column(): q for q in map(of, ("unique_token_grids", "unique_images"))}


def build(data: ReportData) -> list[Table]:
    """One table per dataset and prior, where one was fitted."""
    caption = (
        "Mean ± SD over seeds (ddof 1). A collapsed codebook has a low NLL for free: the prior's "
        "merit is its gain, unigram entropy minus NLL. Unique: among the samples of the prior."
    )
    pairs = [(c, prior) for c in data.focus for prior in data.protocols_of(c, "nll")]
    tables = [
        value_table(data, f"prior-{i + 1}", title, caption, comparison, COLUMNS, prior)
        for i, (comparison, prior) in enumerate(pairs)
    ]
    return [table for table in tables if table]
