"""Appendix D.1: perplexity at a constant temperature."""

from __future__ import annotations

from collapsebench.report import ablation, sections
from collapsebench.report.data import ReportData
from collapsebench.report.tables import Table

title = "App. D.1 · Constant temperature"
section = sections.ABLATIONS
place = 5


def build(data: ReportData) -> list[Table]:
    """The table, where the grid varies a method's temperature."""

    def heading(value: float) -> str:
        return f"temperature {value:g}" if value else "annealed"

    return ablation.table(data, "temperature", title, "temperature", heading)
