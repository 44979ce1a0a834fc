"""Table 1: perplexity, in the paper's per-batch form where it is compared with print."""

from __future__ import annotations

from collapsebench.quantities import of
from collapsebench.report import sections
from collapsebench.report.cells import SPREAD, Measure
from collapsebench.report.data import ReportData
from collapsebench.report.measured import measured_table, per_comparison
from collapsebench.report.rows import Comparison
from collapsebench.report.tables import Table

POOLED, PER_BATCH = of("perplexity"), of("perplexity_batch_mean")

title = f"Table 1 · Perplexity{POOLED.arrow}"
section = sections.TABLES
place = 12


def build(data: ReportData) -> list[Table]:
    """The table, where anything was encoded."""
    in_print = all(data.paper_split(comparison) for comparison in data.comparisons)

    def measure(comparison: Comparison) -> Measure:
        split = data.paper_split(comparison)
        if split is None or not in_print:
            return Measure(comparison, comparison.label, POOLED, "test")
        heading = f"{comparison.label} (per batch, {split})"
        return Measure(
            comparison, heading, PER_BATCH, split, paper=PER_BATCH.published,
            beside={"pooled": POOLED.name},
        )  # fmt: skip

    caption = (
        f"{SPREAD}. Perplexity of all tokens of the test split, in [1, codebook size]."
        if not in_print
        else f"{SPREAD}. The paper's form: the mean over batches of 128 images, on the split that "
        "its code evaluates; beside it that of all tokens of the test split pooled."
    )
    table = measured_table(data, "table1", title, caption, per_comparison(data, measure))
    return [table] if table else []
