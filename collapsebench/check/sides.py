"""What stands on each side of a comparison: a tag, a results folder, or rows of a setting."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from collapsebench.check import select
from collapsebench.check.select import Selection
from collapsebench.plan import registry
from collapsebench.plan.grid import parse_value
from collapsebench.results import baselines
from collapsebench.settings import UserError, did_you_mean, digest

COLUMNS = ("method", "network", "dataset", "codebook_size", "code_dim")
GROUPS = ("method", "network")  # their settings are written with their own names, too: edvae.beta

Asked = dict[str, Any]  # names of settings -> the values that rows must have


def each(words: Sequence[str], results: str, given: Path | None = None) -> list[Selection]:
    """The rows of each side.

    Args:
        words: tags or results folders, or settings like ``edvae.kl=stable`` (several joined by
            commas) that choose among the rows of ``results``.
        results: a tag or a results folder.
        given: where baselines are looked for, else the usual places.

    Raises:
        UserError: no such rows, or a setting that two configurations of one cell share.
    """
    settings = ["=" in word for word in words]
    if any(settings) and not all(settings):
        raise UserError(f"{' and '.join(words)}: give tags or folders, or settings, not both")
    if not any(settings):
        return [of_word(word, given) for word in words]
    rows = of_word(results, given)
    wishes = [wish(word) for word in words]
    free = {name for asked in wishes for name in asked}
    return [chosen(rows, word, asked, free) for word, asked in zip(words, wishes, strict=True)]


def of_word(word: str, given: Path | None) -> Selection:
    """A tag's rows, or those of a results folder."""
    tags = baselines.tags(given)
    if word in tags:
        return select.of_tag(word, given)
    if Path(word).exists():
        return select.of_folder(Path(word))
    method = word.lower().replace("-", "_")
    if method in registry.names("methods"):
        meant = f"; a method's rows among those of -r are chosen by method={method}"
    else:
        meant = did_you_mean(word, tags)
    raise UserError(f"{word}: neither a baseline's tag nor a folder where grids were run{meant}")


def wish(text: str) -> Asked:
    """Parses: method=edvae,edvae.clamp=20 -> {"method": "edvae", "edvae.clamp": 20}."""
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(name.strip() and value.strip() for name, _, value in pairs):
        raise UserError(f"{text!r} is not NAME=VALUE, like edvae.kl=stable")
    return {name.strip(): parse_value(value.strip()) for name, _, value in pairs}


def chosen(rows: Selection, word: str, asked: Asked, free: Iterable[str]) -> Selection:
    """The rows whose settings are as asked, in cells that leave the ``free`` names out."""
    jobs = {job: facts(row) for job, row in first_rows(rows.runs).items()}
    for name, value in asked.items():
        check(name, value, rows.name, jobs.values())
    cells = {
        job: digest(kept(found, free))
        for job, found in jobs.items()
        if all(found.get(name) == value for name, value in asked.items())
    }
    metrics, runs = (in_cells(frame, cells) for frame in (rows.metrics, rows.runs))
    if metrics.empty:
        raise UserError(f"{rows.name}: no rows with {word}")
    refuse_several(metrics, word)
    metrics, runs = (frame.assign(label=labels(frame["label"], free)) for frame in (metrics, runs))
    return replace(rows, name=word, metrics=metrics, runs=runs)


def in_cells(frame: pd.DataFrame, cells: Mapping[str, str]) -> pd.DataFrame:
    """The rows of the jobs that have a cell, under its name."""
    frame = frame[frame["job_id"].isin(cells)]
    return frame.assign(comparison_id=frame["job_id"].map(cells), method="", network="")


def first_rows(runs: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """job_id -> one of its rows of ``runs``; of a process that died without a word none tells.

    Rows that do not say all of ``COLUMNS`` are of no cell.
    """
    rows = runs.dropna(subset=["settings", *COLUMNS]).drop_duplicates("job_id").to_dict("records")
    return {row["job_id"]: {str(k): v for k, v in row.items()} for row in rows}


def facts(row: Mapping[str, Any]) -> dict[str, Any]:
    """Every setting of a job by name; those of its method and network by both their names."""
    found = {name: row[name] for name in COLUMNS}
    for group, values in json.loads(row["settings"] or "{}").items():
        for prefix in (group, row[group]) if group in GROUPS else (group,):
            found |= {f"{prefix}.{key}": value for key, value in values.items()}
    return found


def kept(found: Mapping[str, Any], free: Iterable[str]) -> dict[str, Any]:
    """What is left to decide a cell; what belongs to a free method or network is free too."""
    gone = set(free)
    for name in free:
        gone |= {name.replace(f"{found[g]}.", f"{g}.", 1) for g in GROUPS}
        gone |= {name.replace(f"{g}.", f"{found[g]}.", 1) for g in GROUPS}
    if "method" in gone:
        gone.add("network")  # each method stands on its own network
    groups = {word for g in GROUPS if g in gone for word in (g, found[g])}
    return {k: v for k, v in found.items() if k not in gone and k.partition(".")[0] not in groups}


def labels(given: pd.Series[str], free: Iterable[str]) -> pd.Series[str]:
    """Labels without what is free: "EdVAE clamp=15 kl=stable" -> "EdVAE clamp=15"."""
    if "method" in free:
        return given.map(lambda label: "")
    shown = [f"{form}=" for name in free for form in (name, name.partition(".")[2]) if form]
    return given.fillna("").map(
        lambda label: " ".join(p for p in label.split(" ") if not p.startswith(tuple(shown)))
    )


def check(name: str, value: Any, where: str, found: Iterable[Mapping[str, Any]]) -> None:
    """Whether any job has this setting with this value."""
    if not (found := list(found)):
        raise UserError(f"{where}: no run says what its settings are")
    values = {job[name] for job in found if name in job}
    if not values:
        group, dot, _ = name.partition(".")
        names = {key for job in found for key in job if key.startswith(group + dot)} or COLUMNS
        raise UserError(f"{where}: no row has a setting {name!r}{did_you_mean(name, names)}")
    if value not in values:
        known = ", ".join(sorted(map(str, values)))
        raise UserError(f"{where}: no row has {name}={value}; there: {known}")


def refuse_several(metrics: pd.DataFrame, word: str) -> None:
    """A side must hold one configuration per cell."""
    for _, cell in metrics.groupby("comparison_id"):
        if cell["config_id"].nunique() > 1:
            several = sorted({f"{label}" for label in cell["label"]})
            raise UserError(
                f"{word} stands for {cell['config_id'].nunique()} configurations in one cell "
                f"({', '.join(several)}): add a setting, like {word},train.steps=500"
            )
