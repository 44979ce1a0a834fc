"""Every quantizer on every network: how much of a difference is the network's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from collapsebench.quantities import Quantity, of
from collapsebench.report import multiples, sections, style
from collapsebench.report.cells import mean, missing
from collapsebench.report.data import ReportData
from collapsebench.report.figures import Figure
from collapsebench.report.group import Group
from collapsebench.report.multiples import Panel
from collapsebench.report.palette import Look
from collapsebench.report.rows import Comparison
from collapsebench.report.style import Drawing
from collapsebench.report.tables import Table, TableLine, plain
from collapsebench.report.what_ran import what_ran

title = "Every quantizer on every network"
section = sections.NETWORK
place = 4

DRAWN = (
    "Test split, mean over seeds; hollow: a seed collapsed. Parallel lines: the network shifts all "
    "quantizers alike; crossing lines: it decides who wins. This comparison is not in the paper."
)
CAPTION = "Test split, mean ± SD over seeds (ddof 1)."


@dataclass(frozen=True)
class Line:
    """A quantizer's line: its name without a network."""

    method: str
    label: str
    kind: str
    look: Look


Cross = dict[str, dict[str, Group]]  # method -> network -> cell


def build(data: ReportData) -> list[Table | Figure]:
    """A table and a figure per dataset, where methods ran on several networks."""
    blocks: list[Table | Figure] = []
    for i, comparison in enumerate(data.focus):
        cells = cross(data, comparison)
        networks = sorted({network for own in cells.values() for network in own})
        if len(networks) > 1:
            lines = [_name(data, method, own) for method, own in cells.items()]
            name, ran = f"{title}, {comparison.label}", what_ran(data, [comparison])
            quantities = of("relative_perplexity"), data.error_of(comparison.dataset)
            drawing = _draw(cells, lines, networks, comparison, quantities)
            blocks += [
                Figure(f"network-{i + 1}", name, DRAWN + data.of_several, {"": drawing}, ran),
                Table(f"network-cross-{i + 1}", name, CAPTION + data.of_several, "quantizer",
                      _heads(networks, quantities), _rows(cells, lines, networks, quantities),
                      ran=ran),
            ]  # fmt: skip
    return blocks


def _name(data: ReportData, method: str, cells: dict[str, Group]) -> Line:
    job = next(iter(cells.values())).first
    return Line(method, job.label, job.kind, data.looks[method])


def cross(data: ReportData, comparison: Comparison) -> Cross:
    """The cells of methods that ran on more than one network."""
    crossed: Cross = defaultdict(dict)
    for variant, group in data.column(comparison):
        crossed[variant.method][group.first.network] = group
    return {method: cells for method, cells in crossed.items() if len(cells) > 1}


def _draw(
    cells: Cross, lines: Sequence[Line], networks: list[str], comparison: Comparison,
    quantities: Sequence[Quantity],
) -> Drawing:  # fmt: skip
    def panel(quantity: Quantity) -> Panel:
        def line(ax: Axes, method: Line) -> None:
            own = cells[method.method]
            means = {
                network: float(np.mean(quantity.printed(values.values())))
                for network in networks
                if network in own and (values := own[network].values(quantity.name, "test"))
            }
            x = [networks.index(network) for network in means]
            texts = [f"{method.label} on {n}: {y:.{quantity.decimals}f}" for n, y in means.items()]
            hollow = [own[network].collapsed > 0 for network in means]
            style.series(ax, method, x, list(means.values()), texts=texts, hollow=hollow)

        def dress(ax: Axes) -> None:
            ax.set_xticks(range(len(networks)), [style.short(n, style.NARROW) for n in networks])
            ax.set_xlim(-0.2, len(networks) - 0.8)
            if quantity.share:
                ax.set_ylim(style.SHARES)
            else:
                style.positive_y(ax)

        return Panel(comparison.label, "network", quantity.axis, line, dress)

    return multiples.draw([list(map(panel, quantities))], lines, 1.95)


def _heads(networks: list[str], quantities: Sequence[Quantity]) -> list[str]:
    return [f"{q.axis} on {network}" for q in quantities for network in networks]


def _rows(
    cells: Cross, lines: Sequence[Line], networks: list[str], quantities: Sequence[Quantity]
) -> list[TableLine]:
    rows = []
    for method in lines:
        parts = []
        for quantity in quantities:
            for network in networks:
                group = cells[method.method].get(network)
                values = group.values(quantity.name, "test").values() if group else []
                number = mean(quantity.printed(values), quantity.decimals)
                parts.append(plain(number or (missing(group) if group else "–")))
        rows.append(TableLine(method.label, parts, method.look, method.kind))
    return rows
