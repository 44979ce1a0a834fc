"""Figs. 7 to 9: samples of the prior, decoded."""

from __future__ import annotations

from collapsebench.report import images, sections
from collapsebench.report.data import ReportData
from collapsebench.report.figures import Figure
from collapsebench.settings import SAMPLE_GRID

title = "Figs. 7–9 · Samples"
section = sections.IMAGES
place = 620

ROWS = 8  # of a job's samples.png
SHOWN = 2  # rows for each method


def build(data: ReportData) -> list[Figure]:
    """One figure per dataset, the first samples of each method, not chosen."""
    figures = []
    for i, comparison in enumerate(data.focus):
        rows = []
        for variant, cells in images.strips(data, comparison, SAMPLE_GRID, ROWS):
            rows += [(variant.label if j == 0 else "", cells[j]) for j in range(SHOWN)]
        if rows:
            caption = (
                "The first samples of each method's prior, not chosen; the first seed of each."
            )
            figures.append(
                Figure(f"fig7-{i + 1}", f"{title}, {comparison.label}", caption,
                       {"": images.lay_out(rows)})
            )  # fmt: skip
    return figures
