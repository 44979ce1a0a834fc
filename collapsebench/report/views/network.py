"""Every quantizer on every network: how much of a difference is the network's."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from collapsebench.report import sections, style
from collapsebench.report.cells import mean, missing
from collapsebench.report.data import Comparison, Group, ReportData
from collapsebench.report.figures import Figure
from collapsebench.report.tables import Row, Table, plain

title = "Every quantizer on every network"
section = sections.NETWORK
place = 5

QUANTITIES = (
    ("relative_perplexity", "perplexity / codebook size, %", 100.0, 1),
    ("mse", "MSE × 10³", 1e3, 2),
)


@dataclass(frozen=True)
class Line:
    """A quantizer's line: its name without a network."""

    label: str
    look: style.Look


Cross = dict[str, dict[str, Group]]  # method -> network -> cell


def build(data: ReportData) -> list[Table | Figure]:
    """A table and a figure per dataset, where methods ran on several networks."""
    blocks: list[Table | Figure] = []
    for i, comparison in enumerate(data.focus):
        found = cross(data, comparison)
        networks = sorted({network for cells in found.values() for network in cells})
        if len(networks) > 1:
            blocks += [
                _figure(data, found, networks, comparison, i),
                _table(data, found, networks, comparison, i),
            ]
    return blocks


def cross(data: ReportData, comparison: Comparison) -> Cross:
    """The cells of methods that ran on more than one network."""
    found: Cross = defaultdict(dict)
    for variant, group in data.column(comparison):
        found[variant.method][group.first.network] = group
    return {method: cells for method, cells in found.items() if len(cells) > 1}


def _figure(
    data: ReportData, found: Cross, networks: list[str], comparison: Comparison, i: int
) -> Figure:
    drawing, axes = style.panels(1, len(QUANTITIES), 2.4)
    for ax, (metric, label, factor, decimals) in zip(axes[0], QUANTITIES, strict=True):
        for method, cells in found.items():
            points = []
            for x, network in enumerate(networks):
                values = cells[network].values(metric, "test") if network in cells else {}
                if values:
                    points.append((x, factor * float(np.mean(list(values.values())))))
            if points:
                name = next(iter(cells.values())).first.label
                texts = [f"{name} on {networks[x]}: {y:.{decimals}f}" for x, y in points]
                style.series(
                    ax, Line(name, data.looks[method]), *zip(*points, strict=True), texts=texts
                )
        ax.set_xticks(range(len(networks)), networks)
        ax.set(ylabel=label, xlabel="network", xlim=(-0.2, len(networks) - 0.8))
    style.legend(drawing, axes.flat)
    caption = (
        "Test split, mean over seeds. Parallel lines: the network shifts all quantizers alike; "
        "crossing lines: it decides who wins. This comparison is not in the paper."
    )
    caption += data.of_several
    return Figure(f"network-{i + 1}", f"{title}, {comparison.label}", caption, {"": drawing})


def _table(
    data: ReportData, found: Cross, networks: list[str], comparison: Comparison, i: int
) -> Table:
    rows = []
    for method, cells in found.items():
        line = []
        for metric, _, factor, decimals in QUANTITIES:
            for network in networks:
                group = cells.get(network)
                values = (
                    [v * factor for v in group.values(metric, "test").values()] if group else []
                )
                line.append(plain(mean(values, decimals) or (missing(group) if group else "–")))
        rows.append(Row(next(iter(cells.values())).first.label, line, data.looks[method]))
    heads = [f"{label.split(' / ')[0]} on {n}" if metric == "mse" else f"usage, %, on {n}"
             for metric, label, *_ in QUANTITIES for n in networks]  # fmt: skip
    caption = "Test split, mean ± SD over seeds (ddof 1); usage is perplexity / codebook size."
    caption += data.of_several
    return Table(
        f"network-cross-{i + 1}", f"{title}, {comparison.label}", caption, "quantizer", heads, rows
    )
