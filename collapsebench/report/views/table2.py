"""Table 2: mean squared error of reconstructions, times 1000, on [0, 1] pixels."""

from __future__ import annotations

from collapsebench.report import sections
from collapsebench.report.cells import SPREAD, Measure
from collapsebench.report.data import Comparison, ReportData
from collapsebench.report.measured import measured_table, per_comparison
from collapsebench.report.tables import Table

title = "Table 2 · MSE × 10³ ↓"
section = sections.TABLES
place = 20


def build(data: ReportData) -> list[Table]:
    """The table, where anything was encoded."""

    def measure(comparison: Comparison) -> Measure:
        split = data.paper_split(comparison) or "test"
        heading = comparison.label + (f" ({split})" if split != "test" else "")
        return Measure(comparison, heading, "mse", split, paper="mse_e3", factor=1e3, larger=False)

    caption = f"{SPREAD}. Mean over the pixels of all images of the split, pixels in [0, 1]."
    table = measured_table(data, "table2", title, caption, per_comparison(data, measure))
    return [table] if table else []
