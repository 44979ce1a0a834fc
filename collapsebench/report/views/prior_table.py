"""The second-stage prior: likelihood of tokens beside what counting alone gives."""

from __future__ import annotations

from collapsebench.report import sections
from collapsebench.report.data import ReportData
from collapsebench.report.measured import Column, value_table
from collapsebench.report.tables import Table

title = "Prior"
section = sections.GENERATION
place = 420

COLUMNS = (
    Column("NLL, train, nats per token", "nll", "train", decimals=3),
    Column("NLL, test, nats per token", "nll", decimals=3),
    Column("bits per token, test", "bits_per_token", decimals=3),
    Column("unigram entropy, test, nats", "unigram_entropy", decimals=3),
    Column("prior gain, test, nats", "prior_gain", decimals=3),
    Column("unique token grids, %", "unique_token_grids", "train", 100, 1),
    Column("unique images, %", "unique_images", "train", 100, 1),
)


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
