"""Methods with several codebooks, each codebook by itself, beside methods of as many bits."""

from __future__ import annotations

from dataclasses import replace

from collapsebench.datasets import label as dataset_label
from collapsebench.quantities import Quantity, of
from collapsebench.report import sections
from collapsebench.report.cells import mean
from collapsebench.report.data import ReportData
from collapsebench.report.group import Group
from collapsebench.report.rows import TableRow
from collapsebench.report.tables import Cell, Number, Table, TableLine, plain

title = "Several codebooks"
section = sections.CODEBOOK_USE
place = 315

USE = tuple(map(of, ("perplexity", "relative_perplexity", "usage")))
EACH = tuple(
    replace(of(name), title=f"{of(name).title} of each") for name in ("perplexity", "usage")
)
COLUMNS = ("codebook", "codebooks", "bits per position",
           *(quantity.column() for quantity in (*USE, *EACH)))  # fmt: skip


def build(data: ReportData) -> list[Table]:
    """One table per dataset on which a method with several codebooks was measured."""
    datasets = dict.fromkeys(comparison.dataset for comparison in data.comparisons)
    tables = [_table(data, dataset, i) for i, dataset in enumerate(datasets)]
    return [table for table in tables if table.rows]


def _table(data: ReportData, dataset: str, i: int) -> Table:
    caption = (
        "Test split, mean ± SD over seeds (ddof 1). The worst codebook decides: the smallest "
        "perplexity and the smallest usage of each seed's codebooks. Of each: from the worst to "
        "the best, mean over seeds. Bits per position: the sum over codebooks of log2 K; methods "
        "of one codebook stand here where they have as many."
    )
    error = data.error_of(dataset)
    rows = [
        TableLine(v.label, _cells(group, error), v.look, v.kind)
        for v, group in equals(data, dataset)
    ]
    words, columns = f"{title} · {dataset_label(dataset)}", (*COLUMNS, error.column())
    return Table(f"each-codebook-{i + 1}", words, caption, "method", columns, rows)


def equals(data: ReportData, dataset: str) -> list[tuple[TableRow, Group]]:
    """Cells of several codebooks, and those that can say as much at a position; by bits."""
    cells = [
        (variant, group)
        for variant, comparison, group in data.cells()
        if comparison.dataset == dataset and group.values("perplexity", "test")
    ]
    choices = {group.choices for _, group in cells if group.codebooks > 1}
    shown = [cell for cell in cells if cell[1].choices in choices]
    return sorted(shown, key=lambda cell: cell[1].choices)


def _cells(group: Group, error: Quantity) -> list[Cell]:
    return [
        plain(f"{group.first.codebook_size} × {group.first.code_dim}"),
        plain(Number(group.codebooks, decimals=0)),
        plain(Number(group.bits, decimals=1)),
        *(_mean(group, quantity) for quantity in USE),
        *(_of_each(group, quantity) for quantity in EACH),
        _mean(group, error),
    ]


def _mean(group: Group, quantity: Quantity) -> Cell:
    values = group.values(quantity.name, "test").values()
    return plain(mean(quantity.printed(values), quantity.decimals) or "–")


def _of_each(group: Group, quantity: Quantity) -> Cell:
    """The mean of each codebook over seeds, "1.0 · 16.0"."""
    means = quantity.printed(group.each(quantity.name).mean(0))
    return plain(" · ".join(str(Number(value, decimals=quantity.decimals)) for value in means))
