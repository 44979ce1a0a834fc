"""Table 4: precision and recall of prior samples."""

from __future__ import annotations

from collapsebench.quantities import of
from collapsebench.report import sections
from collapsebench.report.cells import SPREAD, Measure
from collapsebench.report.data import ReportData
from collapsebench.report.measured import measured_table
from collapsebench.report.tables import Table

QUANTITIES = of("precision"), of("recall")

title = f"Table 4 · Precision and recall{QUANTITIES[0].arrow}"
section = sections.TABLES
place = 40


def build(data: ReportData) -> list[Table]:
    """The table, where the grid has a scoring stage."""
    if "score" not in data.grid["stages"]:
        return []
    measures = []
    for comparison, protocol in data.scored():
        rankable = data.rankable(protocol)
        full = data.metric_label("gfd", protocol) == "FID"
        for quantity in QUANTITIES:
            heading = f"{comparison.label}, {quantity.title}" + (
                "" if rankable else ", not rankable"
            )
            measures.append(
                Measure(
                    comparison,
                    heading,
                    quantity,
                    quantity.split,
                    protocol,
                    paper=quantity.published if full else "",
                    ranked=rankable,
                )
            )
    caption = (
        f"{SPREAD}. Of samples of the prior against training images; nearest neighbours as in the "
        "protocol below."
    )
    if any(measure.paper for measure in measures):
        caption += " The paper prints no spread, extractor or k, so there is no verdict."
    table = measured_table(data, "table4", title, caption, measures)
    return [table] if table else []
