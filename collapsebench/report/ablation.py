"""One setting of a method varied: a table with a column for each value, or a figure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from collapsebench.datasets import label as dataset_label
from collapsebench.quantities import of
from collapsebench.report import sweep
from collapsebench.report.cells import SPREAD, Measure, measured_cell
from collapsebench.report.data import ReportData
from collapsebench.report.figures import Figure
from collapsebench.report.group import Group
from collapsebench.report.palette import VARIANT_LINES
from collapsebench.report.tables import Cell, Table, TableLine

RowKey = tuple[str, str, str]  # dataset, method, other settings
Value = int | float | str

POOLED = "perplexity of all tokens of the test split."
IN_PRINT = (
    "perplexity per batch on the split that the authors' code evaluates. The paper prints one run "
    "without a spread, so there is no verdict."
)


def varied(data: ReportData, setting: str) -> dict[RowKey, dict[Any, Group]]:
    """Rows of the table -> value of the setting -> cell; empty if the grid does not vary it."""
    lines: dict[RowKey, dict[Any, Group]] = {}
    for _, comparison, group in data.cells():
        method = dict(group.first.settings.get("method", {}))
        value = method.pop(setting, None)
        if isinstance(value, Value):
            others = ", ".join(f"{key}={value}" for key, value in sorted(method.items()))
            row = (comparison.dataset, group.first.label, others)
            lines.setdefault(row, {})[value] = group
    return lines if any(len(cells) > 1 for cells in lines.values()) else {}


def names(keys: list[RowKey]) -> dict[RowKey, str]:
    """Row labels: dataset, and method and other settings as far as they vary."""
    methods = {method for _, method, _ in keys}
    settings = [set(others.split(", ")) for *_, others in keys]
    shared = set.intersection(*settings) if settings else set()
    labels = {}
    for key in keys:
        own = [part for part in key[2].split(", ") if part not in shared]
        parts = [dataset_label(key[0]), *([key[1]] if len(methods) > 1 else []), *own]
        labels[key] = ", ".join(part for part in parts if part)
    return labels


def table(
    data: ReportData, name: str, title: str, setting: str, heading: Callable[[Any], str]
) -> list[Table]:
    """Perplexity by dataset and value of the setting, beside what the paper prints of it."""
    lines = varied(data, setting)
    values = sorted({value for cells in lines.values() for value in cells})
    if not values:
        return []
    in_print = any(
        data.published(group.first, _paper_name(setting, value))
        for cells in lines.values()
        for value, group in cells.items()
    )
    papers = {value: _paper_name(setting, value) if in_print else "" for value in values}
    labels = names(list(lines))
    rows = [
        TableLine(labels[key], [_cell(data, cells.get(value), papers[value]) for value in values],
                  data.looks[next(iter(cells.values())).first.method])
        for key, cells in lines.items()
    ]  # fmt: skip
    methods = ", ".join(dict.fromkeys(method for _, method, _ in lines))
    caption = f"{methods}; {IN_PRINT if in_print else POOLED} {SPREAD}."
    return [Table(name, title, caption, "dataset", [heading(v) for v in values], rows, setting)]


def _cell(data: ReportData, group: Group | None, paper: str) -> Cell:
    """The perplexity, in the paper's form if ``paper`` names what it is compared with there."""
    if group is None:
        return Cell({"measured": "–"})
    comparison = data.comparison(group.first)
    split = data.paper_split(comparison) if paper else None
    quantity = of("perplexity_batch_mean" if split else "perplexity")
    measure = Measure(comparison, "", quantity, split or "test", paper=paper)
    return measured_cell(data, group, measure)


def _paper_name(setting: str, value: Value) -> str:
    """The name of the perplexity at this value among the published numbers."""
    return f"perplexity[{setting}={value if isinstance(value, str) else f'{value:g}'}]"


def figure(data: ReportData, name: str, title: str, setting: str, xlabel: str) -> list[Figure]:
    """Perplexity and error against the setting."""
    swept = varied(data, setting)
    ticks = sorted({value for cells in swept.values() for value in cells})
    if not ticks:
        return []
    lines: sweep.Points = {}
    places: dict[str, list[str]] = {}
    for (dataset, method, others), cells in swept.items():
        variant = data.variant(next(iter(cells.values())).first)
        kinds = places.setdefault(method, [])
        kinds += [others] if others not in kinds else []
        look = replace(data.looks[variant.method], line=VARIANT_LINES[kinds.index(others) % 4])
        label = method if len(kinds) == 1 else f"{method} {others}"
        lines[dataset, replace(variant, label=label, look=look)] = sorted(cells.items())
    forms = {"": sweep.RELATIVE}
    caption = f"Test split; {sweep.BAND}."
    return sweep.figures(data, name, title, caption, lines, forms, sweep.Axis(xlabel, ticks))
