"""Fig. D.10: perplexity and MSE against the weight of the KL."""

from __future__ import annotations

from collapsebench.report import ablation, sections
from collapsebench.report.data import ReportData
from collapsebench.report.figures import Figure

title = "Fig. D.10 · Weight of the KL, β"
section = sections.ABLATIONS
place = 7


def build(data: ReportData) -> list[Figure]:
    """The sweep, where the grid varies a method's beta."""
    return ablation.figure(data, "beta", title, "beta", "weight of the KL, β")
