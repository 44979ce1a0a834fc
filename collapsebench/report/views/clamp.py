"""Table D.6: perplexity against the largest logit."""

from __future__ import annotations

from collapsebench.report import ablation, sections
from collapsebench.report.data import ReportData
from collapsebench.report.tables import Table

title = "Table D.6 · Clamp of the logits"
section = sections.ABLATIONS
place = 6


def build(data: ReportData) -> list[Table]:
    """The table, where the grid varies a method's clamp."""
    return ablation.table(data, "clamp", title, "clamp", lambda value: f"clamp {value:g}")
