"""What to try against a cause, and what it did where this project or a user measured it."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from collapsebench import stats
from collapsebench.monitor import causes
from collapsebench.results import baselines, tables

NO_ROWS = "no rows on this"
PLAIN = ("vq_vae", "vq_vae_ema")  # what a remedy's method is held against, the first that has rows
METRIC, SPLIT = "usage", "test"


@dataclass(frozen=True)
class Remedy:
    """Something to try; ``methods`` are the shipped ones that differ from plain ones by it."""

    what: str
    methods: tuple[str, ...] = ()


FROM_DATA = Remedy("start the codes from data: k-means on the z_e of a first batch")
REPLACE = Remedy("replace dead codes by inputs", ("vq_reset", "cvq_vae"))
TOGETHER = Remedy("move all codes together", ("sim_vq", "vq_ste_pp"))
STOCHASTIC = Remedy("draw tokens instead of choosing them", ("sq_vae", "gs_vq_vae", "edvae"))
ENTROPY = Remedy("reward the entropy of the mean assignment", ("entropy_vq",))
REMEDIES: dict[str, tuple[Remedy, ...]] = {
    "the encoder collapsed, not the codebook": (
        Remedy("lower the weight of the commitment, or the encoder's learning rate"),
        Remedy("look for what flattens the encoder's output: last layer, norm, weight decay"),
    ),
    "not trained": (Remedy("run `collapsebench lint` on the quantizer"),),
    "duplicates": (Remedy("start from vectors that differ"), FROM_DATA, REPLACE),
    "too few tokens to tell": (Remedy("call compute() less often, or count more tokens"),),
    "bad start": (FROM_DATA, REPLACE, TOGETHER),
    "drift": (REPLACE, TOGETHER, STOCHASTIC),
    "domination": (ENTROPY, STOCHASTIC),
    causes.UNEXPLAINED: (REPLACE, STOCHASTIC),
}


@dataclass(frozen=True)
class Effect:
    """What frozen rows say of a method against a plain one, on one dataset and codebook.

    Attributes:
        change: of the mean usage, as a share.
        low, high: its 95 % interval; None where nothing could be tested.
        seeds: of the method and of the plain one.
    """

    method: str
    against: str
    dataset: str
    codebook_size: int
    baseline: str
    change: float
    low: float | None
    high: float | None
    seeds: tuple[int, int]

    @property
    def words(self) -> str:
        """One line."""
        interval = "not tested"
        if self.low is not None and self.high is not None:
            interval = f"{100 * self.low:+.0f} … {100 * self.high:+.0f} %"
        return (
            f"{self.method}: usage {100 * self.change:+.0f} % ({interval}) against {self.against} "
            f"at K = {self.codebook_size:,} on {self.dataset} ({self.seeds[0]} and "
            f"{self.seeds[1]} seeds, baseline {self.baseline})"
        )


def effects(remedy: Remedy, codebook_size: int, given: Path | None = None) -> list[Effect]:
    """The measured effects of a remedy at the sizes nearest to K; none without rows.

    Args:
        remedy: its methods are looked up in every baseline.
        codebook_size: K.
        given: a folder of baselines, else those found.
    """
    cells = [cell for method in remedy.methods for cell in _cells(method, given)]
    if not cells:
        return []
    nearest = min(cells, key=lambda cell: abs(math.log(cell["codebook_size"] / codebook_size)))
    near = [cell for cell in cells if cell["codebook_size"] == nearest["codebook_size"]]
    (changes,) = stats.changes([(cell["values"], cell["plain"]) for cell in near])
    return [
        _effect(cell, one)
        for cell, one in zip(near, changes, strict=True)
        if one.change is not None
    ]


def _effect(cell: dict[str, Any], change: stats.Change) -> Effect:
    low, high = change.interval() or (None, None)
    names = ("method", "against", "dataset", "codebook_size", "baseline")
    return Effect(
        **{name: cell[name] for name in names},
        change=float(change.change or 0.0), low=low, high=high,
        seeds=(len(cell["values"]), len(cell["plain"])),
    )  # fmt: skip


def _cells(method: str, given: Path | None) -> list[dict[str, Any]]:
    """Usage of a method and of a plain one in each comparison that has rows of both."""
    rows = _rows(given)
    mine = rows[rows["method"] == method]
    found = []
    for (tag, comparison, config), cell in mine.groupby(["tag", "comparison_id", "config_id"]):
        beside = rows[(rows["tag"] == tag) & (rows["comparison_id"] == comparison)]
        plain = next((p for p in PLAIN if (beside["method"] == p).any()), None)
        if plain is None or cell["config_id"].iloc[0] != config:
            continue
        first = cell.iloc[0]
        found.append({
            "method": method, "against": plain, "dataset": first["dataset"], "baseline": tag,
            "codebook_size": int(first["codebook_size"]), "values": tuple(cell["value"]),
            "plain": tuple(beside.loc[beside["method"] == plain, "value"]),
        })  # fmt: skip
    return found


@functools.cache
def _rows(given: Path | None) -> pd.DataFrame:
    """Usage on the test split in every baseline, with its tag."""
    parts = []
    for tag, folder in baselines.tags(given).items():
        rows = tables.read(folder, "metrics")
        rows = rows[(rows["metric"] == METRIC) & (rows["split"] == SPLIT)]
        parts.append(rows.assign(tag=tag))
    columns = ["tag", "comparison_id", "config_id", "method", "dataset", "codebook_size", "value"]
    return pd.concat(parts)[columns] if parts else pd.DataFrame(columns=columns)
