"""Table 2: mean squared error of images, times 1000, on [0, 1] pixels; the error of other items."""

from __future__ import annotations

from collapsebench.quantities import ERRORS, Quantity, of
from collapsebench.report import sections
from collapsebench.report.cells import SPREAD, Measure
from collapsebench.report.data import ReportData
from collapsebench.report.measured import measured_table
from collapsebench.report.rows import Comparison
from collapsebench.report.tables import Table

MSE = of("mse")

title = f"Table 2 · {MSE.title}{MSE.arrow}"
section = sections.TABLES
place = 20

CAPTIONS = {
    "mse": "Mean over the pixels of all images of the split, pixels in [0, 1].",
    "normalised_error": "Squared error of the test split / squared distance from the mean, each "
    "feature in units of its spread in the train split: 0 is exact, 1 as good as the mean.",
}


def build(data: ReportData) -> list[Table]:
    """A table for each error that reconstructions are judged by, where anything was encoded."""
    tables = [_table(data, of(name)) for name in ERRORS]
    return [table for table in tables if table]


def _table(data: ReportData, error: Quantity) -> Table | None:
    def measure(comparison: Comparison) -> Measure:
        split = data.paper_split(comparison) or "test"
        heading = comparison.label + (f" ({split})" if split != "test" else "")
        return Measure(comparison, heading, error, split, paper=error.published)

    measures = [measure(c) for c in data.comparisons if data.error_of(c.dataset) == error]
    words = title if error == MSE else f"Reconstruction · {error.title}{error.arrow}"
    name = "table2" if error == MSE else error.name.replace("_", "-")
    return measured_table(data, name, words, f"{SPREAD}. {CAPTIONS[error.name]}", measures)
