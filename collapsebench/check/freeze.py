"""``collapsebench freeze``: rows that later runs are held against, with where they come from."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from collapsebench.check import rows, select
from collapsebench.results import baselines, disk, grids, tables
from collapsebench.results.folder import job_folder
from collapsebench.results.runs import StageKey, last
from collapsebench.settings import RECONSTRUCTIONS, SAMPLE_GRID, UserError

SPLITS = ("test",)  # of the token counts
CURVE_POINTS = 50  # of a frozen curve, at most
IMAGES = (RECONSTRUCTIONS, SAMPLE_GRID)  # of the first seed of each cell
IMAGES_BYTES = 1_000_000  # all images of a tag together

Tables = dict[str, pd.DataFrame]


def freeze(tag: str, grid: str, results: Path, out: Path) -> Path:
    """Writes ``<out>/<tag>/`` from a grid's rows, replacing it as a whole; returns the folder.

    Raises:
        UserError: the grid was not run there, its record is damaged, it is not complete, or mixes
            protocols, implementations, data or precisions in what would become one cell; or
            something lies at ``<out>/<tag>`` that no freeze of this tag made.
    """
    if not re.fullmatch(r"\w[\w.-]*", tag):
        raise UserError(f"{tag!r} cannot name a baseline: letters, digits, '_', '.' and '-' only")
    refuse_foreign(out / tag)
    written = grids.read(results, grid)
    frames = {name: kept(results, name, written["jobs"]) for name in tables.SCHEMAS}
    frames["runs"] = last(frames["runs"])
    refuse_incomplete(written, frames["runs"], select.lost(results, written["jobs"]))
    refuse_mixtures(frames)
    frames["curves"] = thinned(frames["curves"])
    frames["codes"] = frames["codes"][frames["codes"]["split"].isin(SPLITS)]

    folder, fresh = out / tag, out / f".{tag}.{os.getpid()}"
    try:
        for name, frame in frames.items():
            if len(frame) or name == "metrics":
                write(fresh / name / f"{tag}.parquet", frame, tables.SCHEMAS[name])
        copy_images(written["jobs"], results, fresh)
        grids.write(fresh, written)  # `report -r` reads a tag, too
        disk.write_json(fresh / baselines.MANIFEST, manifest(tag, written, frames, fresh))
        put_in_place(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return folder


def refuse_foreign(folder: Path) -> None:
    """Raises ``UserError`` if something is there that a freeze of this tag did not make."""
    if not os.path.lexists(folder):
        return
    try:
        content = {} if folder.is_symlink() else baselines.described(folder)
    except UserError:
        content = {}
    if content.get("tag") != folder.name:
        raise UserError(
            f"{folder} is there and no baseline {folder.name!r} that freeze wrote: it would be "
            "replaced as a whole; choose another tag or another --out"
        )


def put_in_place(fresh: Path, folder: Path) -> None:
    """Renames ``fresh`` to ``folder``; what was there stands aside until that is done."""
    aside = fresh.with_name(f"{fresh.name}.old")
    if folder.exists():
        os.replace(folder, aside)
    try:
        os.replace(fresh, folder)
    except OSError:
        if aside.exists():
            os.replace(aside, folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def kept(results: Path, table: str, jobs: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The rows of a table that belong to the grid as it was last run."""
    frame = tables.read(results, table, jobs={job["job_id"] for job in jobs})
    return select.current(frame, jobs)


def refuse_incomplete(
    grid: Mapping[str, Any], runs: pd.DataFrame, lost: Sequence[StageKey]
) -> None:
    """Raises ``UserError`` unless every stage of every job has a final result and all its rows."""
    final = runs[runs["status"].isin(tables.FINAL)]
    ended = set(final.loc[final["status"] != "done", "job_id"])  # nothing comes after these
    have = set(zip(final["job_id"], final["stage"], strict=True))
    left = {
        job["job_id"]
        for job in grid["jobs"]
        for stage in job["stage_ids"]
        if (job["job_id"], stage) not in have and job["job_id"] not in ended
    } | {job_id for job_id, _ in lost}
    if left:
        raise UserError(
            f"{len(left)} of {len(grid['jobs'])} jobs of grid {grid['name']!r} have no final "
            f"result or not all rows; run first: {grid['command']}"
        )


def refuse_mixtures(frames: Tables) -> None:
    """Raises ``UserError`` if rows of one cell were not made alike."""
    cell = select.RUN_CELL
    same = {"config_id": cell, "implementation": cell, "precision": cell, "data_hash": ["dataset"]}
    for column, key in same.items():
        _refuse(frames["runs"].dropna(subset=[column]), key, column)
    _refuse(frames["metrics"], [*cell, "stage", "metric", "split"], "protocol")


def _refuse(frame: pd.DataFrame, key: list[str], column: str) -> None:
    for _, group in frame.groupby(key, sort=False):
        if len(different := group[column].unique()) > 1:
            first = group.iloc[0]
            raise UserError(
                f"cannot freeze: {first['label']} on {first['dataset']} mixes {column} "
                f"{', '.join(sorted(map(str, different)))}"
            )


def thinned(curves: pd.DataFrame) -> pd.DataFrame:
    """At most ``CURVE_POINTS`` evenly spread points of each curve, the last one among them."""
    if curves.empty:
        return curves
    groups = curves.sort_values("step").groupby(["job_id", "stage", "metric"], sort=False)
    from_end, count = groups.cumcount(ascending=False), groups["step"].transform("size")
    every = -(-count // CURVE_POINTS)
    return curves[(from_end % every == 0).reindex(curves.index)]


def copy_images(jobs: Sequence[Mapping[str, Any]], results: Path, fresh: Path) -> None:
    """A few images of the first seed of each cell, until the budget is spent."""
    left = IMAGES_BYTES
    for name in IMAGES:
        for job in {job["config_id"]: job for job in reversed(jobs)}.values():
            source = job_folder(results, job["job_id"]) / name
            if source.is_file() and (size := source.stat().st_size) <= left:
                target = job_folder(fresh, job["job_id"]) / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
                left -= size


def write(path: Path, frame: pd.DataFrame, schema: pa.Schema) -> None:
    """One table as one compressed file."""
    table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
    table = table.replace_schema_metadata(None)
    disk.replace_atomically(
        path, lambda p: pq.write_table(table, p, compression="zstd"), pq.read_table
    )


def manifest(tag: str, grid: Mapping[str, Any], frames: Tables, fresh: Path) -> dict[str, Any]:
    """Where the rows come from and what a check against them can promise."""
    runs = frames["runs"]
    return {
        "schema_version": tables.SCHEMA_VERSION,
        "tag": tag,
        "grid": grid["name"],
        "title": grid["title"],
        "scale": grid["scale"],
        "scale_note": grid["scale_note"],
        "commands": [grid["command"], shlex.join(["collapsebench", *sys.argv[1:]])],
        "frozen_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "jobs": int(runs["job_id"].nunique()),
        "seeds": sorted(int(seed) for seed in runs["seed"].dropna().unique()),
        "statuses": {k: int(v) for k, v in runs["status"].value_counts().items()},
        "data_hash": by(runs, "dataset", "data_hash"),
        "implementations": {
            method: json.loads(code)
            for method, code in by(runs, "method", "implementation").items()
        },
        "protocols": distinct(frames["metrics"], "protocol"),
        "precision": distinct(runs, "precision"),
        "versions": [json.loads(text) for text in distinct(runs, "versions")],
        "package_version": distinct(runs, "package_version"),
        "git_sha": distinct(runs, "git_sha"),
        "device": distinct(runs, "device"),
        "hardware": distinct(runs, "device_name"),
        "threads": [int(n) for n in distinct(runs, "threads")],
        "hours": round(float(runs["wall_s"].sum()) / 3600, 3),
        "sensitivity": rows.sensitivity(frames["metrics"]),
        "files": {
            path.relative_to(fresh).as_posix(): disk.sha256(path)
            for path in sorted(fresh.rglob("*"))
            if path.is_file()
        },
    }


def by(frame: pd.DataFrame, key: str, column: str) -> dict[str, str]:
    """key -> its one value of a column, where known."""
    pairs = frame.dropna(subset=[key, column])
    return dict(zip(pairs[key], pairs[column], strict=True))


def distinct(frame: pd.DataFrame, column: str) -> list[Any]:
    """The values of a column, each once, in order."""
    return sorted(value for value in frame[column].dropna().unique() if value != "")


def trajectories(out: Path) -> list[Path]:
    """Records anew what levels 0 and 1 compare; returns the files. What agrees stays as it was.

    Raises:
        UserError: numbers changed under an implementation that is recorded already.
    """
    from collapsebench.check import jobs, tensors
    from collapsebench.check import trajectories as at_work
    from collapsebench.check.records import renewed, unbumped

    paths = []
    for level in (tensors, at_work, jobs):
        path, found = out / level.FILE, level.computed()
        stored = level.read(path) if path.is_file() else {}
        if changed := unbumped(stored, found, level.RTOL):
            name, where = next(iter(changed.items()))
            raise UserError(
                f"{', '.join(changed)}: numbers changed, the implementation did not ({name}: "
                f"{where}); bump {found[name].bump} first"
            )
        level.write(path, renewed(stored, found))
        paths.append(path)
    return paths
