"""``grids/<name>.json``: what ``run`` wrote down of a grid; report, check and status read it."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from collapsebench.results import disk, tables
from collapsebench.settings import STAGES, UserError, did_you_mean, printable, regular, shown

# What a record must hold, and what it may, with what stands for that where it is absent.
GRID: dict[str, type] = {"jobs": list}
GRID_OPTIONAL: dict[str, Any] = {"name": "", "title": "", "reproduces": [], "scale": "",
                                 "scale_note": "", "stages": [], "command": ""}  # fmt: skip
JOB: dict[str, type] = {"job_id": str, "stage_ids": dict, "method": str, "label": str,
                        "settings_label": str, "network": str, "dataset": str,
                        "codebook_size": int, "code_dim": int, "seed": int}  # fmt: skip
JOB_OPTIONAL: dict[str, Any] = {"config_id": "", "comparison_id": "", "kind": "extra", "scale": "",
                                "settings": {}}  # fmt: skip
PARTS = {"reproduces": str, "stages": str, "stage_ids": str, "settings": dict}  # of what is nested
KINDS = {dict: "an object", list: "a list", str: "a text", int: "a whole number"}


def path(results: Path, name: str) -> Path:
    """Where the record of a grid lies."""
    return results / "grids" / f"{name}.json"


def names(results: Path) -> list[str]:
    """Names of the grids that were run in a results folder."""
    return sorted(file.stem for file in (results / "grids").glob("*.json"))


def write(results: Path, record: Mapping[str, Any]) -> None:
    """Writes the record of ``record["name"]``; of each of its jobs only what is read is kept."""
    head = {key: record[key] for key in GRID_OPTIONAL}
    jobs = [{key: job[key] for key in (*JOB, *JOB_OPTIONAL)} for job in record["jobs"]]
    whole = {"schema_version": tables.SCHEMA_VERSION, **head, "jobs": jobs}
    disk.write_json(path(results, record["name"]), whole)


def read(results: Path, name: str) -> dict[str, Any]:
    """The record of a grid, with every field of ``GRID``, ``JOB`` and the optional ones.

    Raises:
        UserError: no such grid was run here, or its record is torn or not one of this program.
    """
    if name not in names(results):
        known = did_you_mean(name, names(results))
        raise UserError(f"grid {shown(name)} was not run in {results}{known}")
    file = path(results, name)
    try:
        record = json.loads(regular(file).read_text(encoding="utf-8"))
        problem = flaw(record)
    except (OSError, ValueError, RecursionError) as error:
        problem = str(error)
    if problem:
        raise UserError(f"{file} cannot be read: {problem}")
    whole = GRID_OPTIONAL | record
    own = {"name": name, "title": printable(whole["title"])}
    return whole | own | {"jobs": [_complete(job) for job in record["jobs"]]}


def every(results: Path) -> list[dict[str, Any]]:
    """The records of all grids that were run here, damaged ones skipped.

    Warns:
        UserWarning: for each record that is skipped, with its file and the reason.
    """
    records = []
    for name in names(results):
        try:
            records.append(read(results, name))
        except UserError as error:
            warnings.warn(f"skipped: {error}", stacklevel=2)
    return records


def flaw(record: Any) -> str:
    """What keeps a value from being the record of a grid; "" if nothing does."""
    known = tables.SCHEMA_VERSION
    if isinstance(record, dict) and record.get("schema_version", known) != known:
        return f"schema version {record['schema_version']!r}, this program knows {known}"
    if problem := _mistyped(record, GRID, _kinds(GRID, GRID_OPTIONAL)):
        return problem
    if not record["jobs"]:
        return "it has no jobs"
    kinds = _kinds(JOB, JOB_OPTIONAL)
    problems = (_mistyped(job, JOB, kinds) or _foreign(job) for job in record["jobs"])
    return next((f"job {i}: {problem}" for i, problem in enumerate(problems) if problem), "")


def _kinds(required: dict[str, type], optional: dict[str, Any]) -> dict[str, type]:
    return required | {name: type(value) for name, value in optional.items()}


def _mistyped(values: Any, required: dict[str, type], kinds: dict[str, type]) -> str:
    """The first thing in ``values`` that is absent or of another kind than it must be."""
    if not isinstance(values, dict):
        return f"must be {KINDS[dict]}, not {values!r:.40}"
    if missing := [name for name in required if name not in values]:
        return f"{missing[0]!r} is missing"
    for name in [name for name in kinds if name in values]:
        value, kind, part = values[name], kinds[name], PARTS.get(name)
        if not _is(value, kind):
            return f"{name!r} must be {KINDS[kind]}, not {value!r:.40}"
        parts = value.values() if kind is dict else value
        if part and not all(_is(inner, part) for inner in parts):
            return f"{name!r} must hold {KINDS[part]} each, not {value!r:.40}"
    return ""


def _is(value: Any, kind: type) -> bool:
    return type(value) is kind  # true is no whole number


def _foreign(job: Mapping[str, Any]) -> str:
    """What no job of this program can be: an id that names no folder, a stage, a size."""
    if not re.fullmatch(r"\w+", job["job_id"]):
        return f"{job['job_id']!r:.40} is no job id"
    if unknown := [stage for stage in job["stage_ids"] if stage not in STAGES]:
        return f"{unknown[0]!r:.40} is no stage"
    return "" if job["codebook_size"] > 0 else f"a codebook of {job['codebook_size']} codes"


def _complete(job: dict[str, Any]) -> dict[str, Any]:
    """A job with every field; without its ids it shares no cell and no table."""
    alone = {"config_id": job["job_id"], "comparison_id": job["job_id"]}
    texts = {name: printable(job[name]) for name in ("label", "settings_label", "dataset")}
    return JOB_OPTIONAL | alone | job | texts
