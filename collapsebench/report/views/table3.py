"""Table 3: Fréchet distance of prior samples, with that of reconstructions beside it."""

from __future__ import annotations

from dataclasses import replace

from collapsebench.quantities import FID_NAMES, of
from collapsebench.report import sections
from collapsebench.report.cells import SPREAD, Measure
from collapsebench.report.data import ReportData
from collapsebench.report.measured import measured_table
from collapsebench.report.tables import Table

GFD = of("gfd")

title = f"Table 3 · Fréchet distance of generated images{GFD.arrow}"
section = sections.TABLES
place = 30


def build(data: ReportData) -> list[Table]:
    """The table, where the grid has a scoring stage."""
    if "score" not in data.grid["stages"]:
        return []
    measures = []
    for comparison, protocol in data.scored():
        name, rankable = data.metric_label(GFD.name, protocol), data.rankable(protocol)
        heading = f"{comparison.label}, {name}" + ("" if rankable else ", not rankable")
        measures.append(
            Measure(
                comparison,
                heading,
                GFD if name in FID_NAMES.values() else replace(GFD, decimals=4),
                GFD.split,
                protocol,
                paper=GFD.published if name == "FID" else "",
                ranked=rankable,
                beside={"of reconstructions": "rfd", "difference of both": "fd_gap"},
            )
        )
    caption = (
        f"{SPREAD}. Distance of samples of the prior from the training images; of reconstructions "
        "of training images from the same; and the difference, which is the prior's part. "
        '"FID" only from verified Inception weights under the full protocol.'
    )
    table = measured_table(data, "table3", title, caption, measures)
    return [table] if table else []
