"""Where the encoder's gradient comes from, under each rule for the codebook."""

from __future__ import annotations

from collapsebench.report import ablation, sections
from collapsebench.report.data import ReportData
from collapsebench.report.tables import Table

title = "Rotation or straight-through"
section = sections.ABLATIONS
place = 9


def build(data: ReportData) -> list[Table]:
    """The table, where the grid varies a method's gradient estimator."""
    return ablation.table(
        data, "rotation", title, "estimator", lambda estimator: estimator.replace("_", "-")
    )
