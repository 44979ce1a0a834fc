"""What each method costs: parameters, time, throughput, memory."""

from __future__ import annotations

import pandas as pd

from collapsebench.report import sections
from collapsebench.report.data import ReportData
from collapsebench.report.rows import Comparison
from collapsebench.report.tables import Cell, Number, Table, TableLine, plain
from collapsebench.report.what_ran import what_ran

title = "Cost"
section = sections.COST
place = 710

UNITS = (("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0))


def build(data: ReportData) -> list[Table]:
    """One table per dataset, from the attempts that finished."""
    tables = []
    for i, comparison in enumerate(data.focus):
        rows = data.runs[
            (data.runs["comparison_id"] == comparison.comparison_id)
            & (data.runs["status"] == "done")
        ]
        if len(rows):
            tables.append(_table(data, comparison, rows, i))
    return tables


def _table(data: ReportData, comparison: Comparison, runs: pd.DataFrame, i: int) -> Table:
    stages = [stage for stage in data.grid["stages"] if stage in set(runs["stage"])]
    unit, seconds = _unit(runs["wall_s"].max())
    columns = ["networks, 1000 parameters", "quantizer, 1000 parameters",
               *(f"{stage}, {unit}" for stage in stages),
               "training items / s", "peak memory, MiB"]  # fmt: skip
    lines = []
    for variant, group in data.column(comparison):
        own = runs[runs["job_id"].isin([job.job_id for job in group.jobs])]
        if len(own):
            label = data.row_label(variant, [comparison])
            lines.append(TableLine(label, _cells(own, stages, seconds), variant.look, variant.kind))
    devices = sorted(set(runs["device_name"].dropna()))
    caption = (
        f"Mean over seeds of finished runs, on {', '.join(devices)}. Times of jobs that shared a "
        "machine are not comparable. Peak memory is of the GPU where one was used, else of the "
        "process."
    )
    name, words, ran = (
        f"cost-{i + 1}",
        f"{title} · {comparison.label}",
        what_ran(data, [comparison]),
    )
    return Table(name, words, caption, "method", columns, lines, ran=ran)


def _unit(longest: float) -> tuple[str, float]:
    """The largest unit, and its seconds, of which the longest time has at least two."""
    fitting = [(name, seconds) for name, seconds in UNITS if longest >= 2 * seconds]
    return fitting[0] if fitting else UNITS[-1]


def _cells(runs: pd.DataFrame, stages: list[str], seconds: float) -> list[Cell]:
    train = runs[runs["stage"] == "train"]
    networks = train["parameters_encoder"] + train["parameters_decoder"]
    memory = train["peak_gpu_memory_bytes"].fillna(train["peak_memory_bytes"])
    return [
        _mean(networks / 1e3, 1),
        _mean(train["parameters_quantizer"] / 1e3, 1),
        *(_mean(runs.loc[runs["stage"] == stage, "wall_s"] / seconds, 1) for stage in stages),
        _mean(train["items_per_s"], 0),
        _mean(memory / 2**20, 0),
    ]


def _mean(values: pd.Series, decimals: int) -> Cell:
    values = values.dropna()
    return plain(Number(float(values.mean()), None, decimals) if len(values) else "–")
