"""The files of the table ``runs``, one per attempt at a stage, and what their names say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from collapsebench.results import tables

Finished = Mapping[tuple[str, str], str]


def finished(results: Path) -> Finished:
    """(job_id, stage_id) -> final status, read from the names of the files in ``runs``."""
    found = {}
    for path in (results / "runs").glob("*.parquet"):
        parts = path.name.split(".")
        if len(parts) == 5 and parts[3] in tables.FINAL:
            found[parts[0], parts[2]] = parts[3]
    return found
