"""Level 2: the rows of a grid against a frozen tag."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from collapsebench.check import rows, select
from collapsebench.check.verdicts import MISSING, WORSE, Finding
from collapsebench.results import baselines, grids, tables


def run(tag: str, results: Path, given: Path | None = None) -> list[Finding]:
    """One finding per frozen cell and metric, and one per cell that newly diverged or failed.

    Raises:
        UserError: no such baseline, a damaged one, or one training counted twice.
    """
    manifest = baselines.manifest(baselines.find(tag, given))
    grid = manifest["grid"]
    if grid not in grids.names(results):
        text = f"grid {grid} was not run in {results}: collapsebench run --grid {grid}"
        return [Finding(2, tag, MISSING, text)]
    old, new = select.of_tag(tag, given), select.of_grid(results, grid)
    runs = new.runs[~new.runs["run_id"].isin(old.runs["run_id"])]
    if runs.empty and len(new.runs):
        return [Finding(2, tag, MISSING, f"the rows in {results} are the frozen ones themselves")]
    metrics = new.metrics[new.metrics["job_id"].isin(runs["job_id"])]
    for side in (old, new):
        select.refuse_repeats(side)
    diverged = select.diverged(runs), select.diverged(old.runs)
    found = rows.compare(metrics, old.metrics, manifest["sensitivity"], diverged)
    return found + ended(runs, old.runs)


def ended(new: pd.DataFrame, old: pd.DataFrame) -> list[Finding]:
    """Cells whose seeds end otherwise than the frozen ones: diverged, failed."""
    found = []
    frozen = {key: set(group["status"]) for key, group in old.groupby(select.RUN_CELL)}
    for key, group in select.last(new).groupby(select.RUN_CELL, sort=False):
        for status, count in group["status"].value_counts().items():
            if status != "done" and status not in frozen.get(key, set()):
                name = next(iter(rows.names(group.assign(protocol="")).values()))
                text = f"{count} of {len(group)} stages ended as {status}, none of the frozen did"
                verdict = WORSE if status in tables.FINAL else MISSING
                found.append(Finding(2, f"{name} · {status}", verdict, text))
    return found
