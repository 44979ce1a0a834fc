"""When codes die: dead codes and perplexity along training."""

from __future__ import annotations

from collapsebench.report import curves, sections
from collapsebench.report.data import ReportData
from collapsebench.report.figures import Figure

title = "Dead codes along training"
section = sections.CODEBOOK_USE
place = 330

QUANTITIES = ("dead_codes", "perplexity")


def build(data: ReportData) -> list[Figure]:
    """Dead codes and perplexity on the fixed training items."""
    caption = (
        "On 512 fixed training items. A code that only other items use counts as dead here. "
        f"{curves.LINES}"
    )
    caption += data.of_several
    return curves.figures(data, "dead-codes", title, caption, QUANTITIES)
