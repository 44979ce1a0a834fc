"""Figs. 4 and 5: reconstructions of the same test images by every method."""

from __future__ import annotations

from collapsebench.report import images, sections
from collapsebench.report.data import ReportData
from collapsebench.report.figures import Figure
from collapsebench.settings import RECONSTRUCTIONS

title = "Figs. 4–5 · Reconstructions"
section = sections.IMAGES
place = 610


def build(data: ReportData) -> list[Figure]:
    """One figure per dataset: the originals, then a row for each method."""
    figures = []
    for i, comparison in enumerate(data.focus):
        strips = images.strips(data, comparison, RECONSTRUCTIONS, 2)
        if strips:
            rows = [("original", strips[0][1][0])] + [(v.label, cells[1]) for v, cells in strips]
            caption = "The first test images, the same for every method; the first seed of each."
            figures.append(
                Figure(f"fig4-{i + 1}", f"{title}, {comparison.label}", caption,
                       {"": images.lay_out(rows)})
            )  # fmt: skip
    return figures
