"""Level 2: metric rows against frozen ones, cell by cell, by a moderated t-test with a margin.

Differences are of logarithms, so that cells of unlike size share one noise model; their variances
are shrunk towards each other, and Holm's method keeps the chance of any false alarm over all cells
of a metric at 5 %. A cell is ``worse`` if it is significantly worse and by more than the margin;
``ok`` if it is not and a change of the stated sensitivity would have been seen; else it can't be
told, and how many more seeds would tell is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from collapsebench import stats
from collapsebench.check.verdicts import MISSING, OK, UNSURE, WORSE, Finding

NEW_SEEDS = 3  # of a usual check; what the stated sensitivity is reckoned for
HEADROOM = 1.25  # variances are estimated anew at each check
LEAST = 3  # values that a spread can be told from


@dataclass(frozen=True)
class Quantity:
    """A metric that is watched.

    Attributes:
        larger: whether larger is better.
        margin: share below which a change does not matter.
    """

    metric: str
    split: str
    larger: bool
    margin: float


QUANTITIES = (
    Quantity("perplexity", "test", larger=True, margin=0.03),
    Quantity("mse", "test", larger=False, margin=0.03),
    Quantity("gfd", "train", larger=False, margin=0.05),
)

CELL = ["comparison_id", "method", "network", "label", "protocol"]
NAMES = ["label", "dataset", "codebook_size", "code_dim"]

CellKey = tuple[Any, ...]
Values = dict[CellKey, list[float]]


@dataclass(frozen=True)
class Cell:
    """The seeds of one table cell, frozen and new; positive numbers."""

    name: str
    new: Sequence[float]
    old: Sequence[float]


def values(rows: pd.DataFrame, quantity: Quantity) -> Values:
    """Cell -> its seeds' finite values."""
    wanted = (rows["metric"] == quantity.metric) & (rows["split"] == quantity.split)
    found = rows[wanted & np.isfinite(rows["value"]) & (rows["value"] > 0)]
    groups = found.fillna({"protocol": ""}).groupby(CELL, sort=False)["value"]
    return {key: list(group) for key, group in groups}


def names(rows: pd.DataFrame) -> dict[CellKey, str]:
    """Cell -> "EdVAE · digits · 32×8"."""
    first = rows.fillna({"protocol": ""}).drop_duplicates(CELL)
    return {
        tuple(row[c] for c in CELL): "{label} · {dataset} · {codebook_size}×{code_dim}".format(
            **{name: row[name] for name in NAMES}
        ).removeprefix(" · ")
        for row in first.to_dict("records")
    }


def compare(
    new: pd.DataFrame, old: pd.DataFrame, sensitivity: Mapping[str, float]
) -> list[Finding]:
    """One finding per frozen cell and quantity.

    Args:
        new: metric rows, of one configuration per cell.
        old: frozen metric rows.
        sensitivity: metric -> the share of change that an ``ok`` promises to have seen.
    """
    found = []
    titles = names(old)
    for quantity in QUANTITIES:
        before, now = values(old, quantity), values(new, quantity)
        here = [key for key in before if key in now]
        cells = [Cell(titles[key], now[key], before[key]) for key in here]
        testable = [cell for cell in cells if len(cell.new) + len(cell.old) >= LEAST]
        found += judge(testable, quantity, sensitivity.get(quantity.metric, 0.0))
        found += [alone(cell, quantity) for cell in cells if cell not in testable]
        found += [absent(titles[key], quantity) for key in before if key not in now]
    return found


def absent(name: str, quantity: Quantity) -> Finding:
    """A frozen cell without new rows."""
    text = "frozen, but no new row of the same comparison and protocol"
    return Finding(2, f"{name} · {quantity.metric}", MISSING, text)


def alone(cell: Cell, quantity: Quantity) -> Finding:
    """A cell of one seed on each side: nothing says how much seeds differ."""
    text = f"{cell.new[0]:.4g} against {cell.old[0]:.4g}, one seed each: run more seeds"
    return Finding(2, f"{cell.name} · {quantity.metric}", UNSURE, text)


def judge(cells: Sequence[Cell], quantity: Quantity, sensitivity: float) -> list[Finding]:
    """One finding per cell; all of them are one family of tests."""
    if not cells:
        return []
    sign = -1.0 if quantity.larger else 1.0  # a positive difference is worse
    difference = stats.moderated([(logs(c.new, sign), logs(c.old, sign)) for c in cells])
    p = stats.holm(difference.p_greater())
    found = []
    for i, cell in enumerate(cells):
        outcome = Outcome(
            float(difference.estimate[i]),
            float(difference.standard_error[i]),
            float(difference.df[i]),
            float(p[i]),
            family=len(cells),
        )
        subject = f"{cell.name} · {quantity.metric}"
        found.append(Finding(2, subject, *verdict(cell, quantity, sensitivity, outcome)))
    return found


def logs(seeds: Sequence[float], sign: float = 1.0) -> list[float]:
    """Logarithms of positive values, times ``sign``."""
    return [sign * math.log(value) for value in seeds]


@dataclass(frozen=True)
class Outcome:
    """A cell's test: difference of logarithms (positive is worse), its error, df, adjusted p."""

    estimate: float
    error: float
    df: float
    p: float
    family: int

    @property
    def alpha(self) -> float:
        """The level at which Holm's method takes its first step."""
        return stats.ALPHA / self.family

    @property
    def detectable(self) -> float:
        """The difference that would have been seen four times in five."""
        return stats.smallest_detectable_change(self.error, self.df, self.alpha)

    def more_seeds(self, cell: Cell, change: float) -> int | None:
        """New seeds still needed to see ``change``; None if the frozen ones are too few."""
        n, m = len(cell.new), len(cell.old)
        sd = self.error / math.sqrt(1 / n + 1 / m)
        needed = stats.seeds_needed(sd, change, m, self.df - (n + m - 2), self.alpha)
        return None if needed is None else max(1, needed - n)


def verdict(
    cell: Cell, quantity: Quantity, sensitivity: float, outcome: Outcome
) -> tuple[str, str, dict[str, Any]]:
    """(verdict, reason, numbers) of a cell."""
    change = float(np.mean(cell.new) / np.mean(cell.old) - 1)
    seen = share(outcome.detectable, quantity.larger)
    facts = {"new": list(cell.new), "frozen": list(cell.old), "change": change, "p": outcome.p,
             "detectable": seen, "margin": quantity.margin, "sensitivity": sensitivity}  # fmt: skip
    text = (
        f"{np.mean(cell.new):.4g} against {np.mean(cell.old):.4g} ({percent(change, '+')}, "
        f"{len(cell.new)} against {len(cell.old)} seeds, p {outcome.p:.2g})"
    )
    if outcome.p < stats.ALPHA and share(outcome.estimate, quantity.larger) > quantity.margin:
        return WORSE, f"{text}, beyond the margin of {percent(quantity.margin)}", facts
    if seen <= sensitivity:
        return OK, f"{text}; would have seen ≥ {percent(seen)}", facts
    more = outcome.more_seeds(cell, log_change(sensitivity, quantity.larger))
    wish = "freeze more seeds" if more is None else f"{more} more seeds would tell"
    return UNSURE, f"{text}; sees ≥ {percent(seen)}, not {percent(sensitivity)}: {wish}", facts


def share(log_difference: float, larger: bool) -> float:
    """A worsening in logarithms -> as a share of the old value."""
    return -math.expm1(-log_difference) if larger else math.expm1(log_difference)


def log_change(share: float, larger: bool) -> float:
    """The reverse of ``share``."""
    return -math.log1p(-share) if larger else math.log1p(share)


def percent(value: float, sign: str = "") -> str:
    """0.113 -> "11.3 %"."""
    return f"{100 * value:{sign}.3g} %"


def sensitivity(rows: pd.DataFrame) -> dict[str, float]:
    """What a check of three new seeds can promise to see, by metric, from frozen rows' noise.

    The change that the noisiest cell shows four times in five, with a quarter of headroom,
    rounded up to a whole percent.
    """
    found = {}
    for quantity in QUANTITIES:
        cells = [logs(seeds) for seeds in values(rows, quantity).values() if len(seeds) > 1]
        if cells:
            log_difference = HEADROOM * max(detectable(cells))
            percents = math.ceil(100 * share(log_difference, quantity.larger))
            found[quantity.metric] = (
                percents / 100 if not quantity.larger else min(percents, 99) / 100
            )
    return found


def detectable(cells: Sequence[list[float]]) -> list[float]:
    """The change that each frozen cell would show against three new seeds, in logarithms."""
    n = np.array([len(cell) for cell in cells])
    # A group of one value adds nothing to a variance: that of the frozen seeds alone is moderated.
    alone = stats.moderated([(cell, cell[:1]) for cell in cells])
    sd = alone.standard_error / np.sqrt(1 / n + 1)
    error, df = sd * np.sqrt(1 / n + 1 / NEW_SEEDS), alone.df + NEW_SEEDS
    alpha = stats.ALPHA / len(cells)
    return [stats.smallest_detectable_change(e, d, alpha) for e, d in zip(error, df, strict=True)]
