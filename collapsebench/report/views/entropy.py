"""Perplexity and MSE against the weight of an entropy term."""

from __future__ import annotations

from collapsebench.report import ablation, sections
from collapsebench.report.data import ReportData
from collapsebench.report.figures import Figure

title = "Weight of the entropy term"
section = sections.ABLATIONS
place = 8


def build(data: ReportData) -> list[Figure]:
    """The sweep, where the grid varies a method's entropy weight."""
    return ablation.figure(data, "entropy", title, "entropy", "weight of the entropy term")
