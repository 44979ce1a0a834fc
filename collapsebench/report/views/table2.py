"""Table 2: mean squared error of reconstructions, times 1000, on [0, 1] pixels."""

from __future__ import annotations

from collapsebench.quantities import of
from collapsebench.report import sections
from collapsebench.report.cells import SPREAD, Measure
from collapsebench.report.data import Comparison, ReportData
from collapsebench.report.measured import measured_table, per_comparison
from collapsebench.report.tables import Table

MSE = of("mse")

title = f"Table 2 · {MSE.title}{MSE.arrow}"
section = sections.TABLES
place = 20


def build(data: ReportData) -> list[Table]:
    """The table, where anything was encoded."""

    def measure(comparison: Comparison) -> Measure:
        split = data.paper_split(comparison) or "test"
        heading = comparison.label + (f" ({split})" if split != "test" else "")
        return Measure(comparison, heading, MSE, split, paper=MSE.published)

    caption = f"{SPREAD}. Mean over the pixels of all images of the split, pixels in [0, 1]."
    table = measured_table(data, "table2", title, caption, per_comparison(data, measure))
    return [table] if table else []
