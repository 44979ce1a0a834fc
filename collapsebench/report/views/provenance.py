"""Where the numbers come from: software, devices, data, protocols, tries, commands."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from collapsebench.datasets import label as dataset_label
from collapsebench.report import sections
from collapsebench.report.data import ReportData
from collapsebench.report.tables import Table, TableLine, plain

title = "Provenance"
section = sections.PROVENANCE
place = 910


COLUMNS = {  # of `runs` -> what they say
    "package_version": "collapsebench",
    "git_sha": "git commit",
    "device_name": "device",
    "precision": "precision",
    "variant": "trainer variant",
    "launcher": "launcher",
    "implementation": "implementation",
}


def build(data: ReportData) -> list[Table]:
    """Tables of facts; each is left out where nothing is known."""
    tables = (_environment(data), _data(data), _protocols(data), _tries(data))
    return [table for table in tables if table.rows]


def _environment(data: ReportData) -> Table:
    runs = data.runs
    facts: dict[str, set[str]] = defaultdict(set)
    for column, name in COLUMNS.items():
        facts[name] = {_readable(value) for value in runs[column].dropna().unique() if value}
    if runs["git_dirty"].fillna(False).any():
        facts["git commit"].add("with uncommitted changes")
    for text in runs["versions"].dropna().unique():
        for package, version in json.loads(text).items():
            facts[package].add(str(version))
    rows = [
        TableLine(name, [plain(", ".join(sorted(values)))])
        for name, values in facts.items()
        if values
    ]
    finished = runs["finished_at"].dropna()
    if len(finished):
        rows.append(
            TableLine(
                "finished",
                [plain(f"{finished.min():%Y-%m-%d %H:%M} … {finished.max():%Y-%m-%d %H:%M} UTC")],
            )
        )
    rows.append(TableLine("command", [plain(str(data.grid["command"]))]))
    return Table(
        "environment",
        "Software, devices, command",
        "All rows of this page.",
        "what",
        ("value",),
        rows,
        ranked=False,
    )


def _readable(value: Any) -> str:
    """A value as words; JSON without its punctuation."""
    text = str(value)
    if not text.startswith("{"):
        return text
    return ", ".join(f"{key} {part}" for key, part in json.loads(text).items())


def _data(data: ReportData) -> Table:
    columns = data.runs[["dataset", "data_hash", "split_hash"]].dropna().drop_duplicates()
    rows = [
        TableLine(dataset_label(dataset), [plain(images), plain(splits)])
        for dataset, images, splits in columns.sort_values("dataset").itertuples(index=False)
    ]
    caption = "Hash of the items, and of which item is in which split."
    return Table("data", "Data", caption, "dataset", ("items", "splits"), rows, ranked=False)


def _protocols(data: ReportData) -> Table:
    used = sorted(set(data.metrics["protocol"].dropna()) & set(data.protocols))
    rows = [
        TableLine(f"{data.protocols[p]['name']} ({p[:6]})", [plain(_words(data.protocols[p]))])
        for p in used
    ]
    caption = (
        "How distances, precision and recall were measured; only rows of one protocol share a cell."
    )
    return Table(
        "protocols", "Scoring protocols", caption, "protocol", ("details",), rows, ranked=False
    )


def _words(protocol: dict[str, Any]) -> str:
    details = json.loads(protocol["details"]) if isinstance(protocol["details"], str) else {}
    words = [f"extractor {protocol['extractor']}",
             f"weights {str(protocol['extractor_sha256'])[:12]}",
             "verified" if protocol["verified"] else "not verified",
             "rankable" if protocol["rankable"] else "not rankable"]  # fmt: skip
    words += [f"{k} {v}" for k, v in sorted(details.items()) if isinstance(v, int | float | str)]
    return ", ".join(words)


def _tries(data: ReportData) -> Table:
    tries: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for job in data.jobs:
        settings = json.dumps(job.settings.get("method", {}), sort_keys=True, default=str)
        tries[job.label].add((settings, job.network))
    rows = [TableLine(label, [plain(str(len(jobs)))]) for label, jobs in tries.items()]
    caption = (
        "Settings of the method, and networks, that this grid contains: a method tried in many "
        "configurations has had more chances to look good."
    )
    return Table(
        "configurations",
        "Configurations tried",
        caption,
        "method",
        ("configurations",),
        rows,
        ranked=False,
    )
