"""Fig. 6, right: perplexity and MSE against the dimension of a code."""

from __future__ import annotations

from collapsebench.report import codebook_sweep, sections
from collapsebench.report.data import ReportData
from collapsebench.report.figures import Figure

title = "Fig. 6 · Code dimension"
section = sections.CODEBOOK_DESIGN
place = 3


def build(data: ReportData) -> list[Figure]:
    """The sweep, where the grid has several dimensions."""
    return codebook_sweep.build(data, "fig6_dim", title, "code_dim")
