"""What an item costs in bits and loses, and how often two items share all their tokens."""

from __future__ import annotations

from collapsebench.quantities import of
from collapsebench.report import sections
from collapsebench.report.data import ReportData
from collapsebench.report.measured import value_table
from collapsebench.report.tables import Table

title = "Items and their tokens"
section = sections.TABLES
place = 25

COLUMNS = ("normalised_error", "best_possible_error", "excess_error", "cosine_similarity",
           "bits_per_item", "collision_rate", "items_per_tuple", "largest_tuple")  # fmt: skip


def build(data: ReportData) -> list[Table]:
    """One table per comparison of vectors or sequences; images have none of these."""
    caption = (
        "Mean ± SD over seeds (ddof 1). Error and similarity: test split; similarity in the units "
        "of the file. Collisions: among the items of the train split, whose token tuples are "
        "counted; a tuple is all tokens of an item."
    )
    columns = {quantity.column(): quantity for quantity in map(of, COLUMNS)}
    tables = [
        value_table(data, f"items-{i + 1}", title, caption, comparison, columns)
        for i, comparison in enumerate(data.comparisons)
    ]
    return [table for table in tables if table]
