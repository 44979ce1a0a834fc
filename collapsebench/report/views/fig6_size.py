"""Fig. 6, left: perplexity and MSE against the codebook size."""

from __future__ import annotations

from collapsebench.report import codebook_sweep, sections
from collapsebench.report.data import ReportData
from collapsebench.report.figures import Figure

title = "Fig. 6 · Codebook size"
section = sections.CODEBOOK_DESIGN
place = 2


def build(data: ReportData) -> list[Figure]:
    """The sweep, where the grid has several sizes."""
    return codebook_sweep.build(data, "fig6_size", title, "codebook_size")
