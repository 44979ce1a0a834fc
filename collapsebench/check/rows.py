"""Level 2: metric rows against frozen ones, cell by cell, by the test that every page uses.

Differences are of logarithms, so that cells of unlike size inform each other's spreads. The 5 % of
false alarms are of a whole check: Holm's method is over all its cells and metrics. A cell is
``worse`` or ``better`` if it is significantly so and by more than the margin; ``ok`` if it is
neither and a change of the stated sensitivity would have been seen; else it can't be told, and how
many more seeds would tell is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from collapsebench import stats
from collapsebench.check.verdicts import BETTER, MISSING, OK, UNSURE, WORSE, Finding
from collapsebench.quantities import TESTED, Quantity

NEW_SEEDS = 3  # of a usual check; what the stated sensitivity is reckoned for
HEADROOM = 1.25  # variances are estimated anew at each check
MOST_PROMISED = math.log(100)  # what needs a change by more to be seen is no promise
MOST_SHOWN = 20.0  # in logarithms, half a billion: more is shown as this


CELL = ["comparison_id", "method", "network", "label", "protocol"]
NAMES = ["label", "dataset", "codebook_size", "code_dim"]

CellKey = tuple[Any, ...]
CellValues = dict[CellKey, list[float]]
DivergedSeeds = Mapping[CellKey, int]  # cell without its protocol -> how many seeds did


@dataclass(frozen=True)
class CellSeeds:
    """The seeds of one quantity and table cell, new and frozen.

    Attributes:
        diverged: seeds that did, new and frozen.
    """

    name: str
    quantity: Quantity
    new: Sequence[float]
    old: Sequence[float]
    diverged: tuple[int, int] = (0, 0)


def values(rows: pd.DataFrame, quantity: Quantity) -> CellValues:
    """Cell -> its seeds' finite values."""
    wanted = (rows["metric"] == quantity.name) & (rows["split"] == quantity.split)
    finite = rows[wanted & np.isfinite(rows["value"])]
    groups = finite.fillna({"protocol": ""}).groupby(CELL, sort=False)["value"]
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
    new: pd.DataFrame,
    old: pd.DataFrame,
    sensitivity: Mapping[str, float],
    diverged: tuple[DivergedSeeds, DivergedSeeds] = ({}, {}),
) -> list[Finding]:
    """One finding per frozen cell and quantity.

    Args:
        new: metric rows, of one configuration per cell.
        old: frozen metric rows.
        sensitivity: metric -> the share of change that an ``ok`` promises to have seen.
        diverged: of the new and of the frozen seeds.
    """
    cells, missing = [], []
    for quantity in TESTED:
        before, now = values(old, quantity), values(new, quantity)
        for key, name in names(old).items():
            if key in before and key in now:
                lost = diverged[0].get(key[:-1], 0), diverged[1].get(key[:-1], 0)
                cells.append(CellSeeds(name, quantity, now[key], before[key], lost))
            elif key in before:
                missing.append(absent(f"{name} · {quantity.name}"))
    return judge(cells, sensitivity) + missing


def absent(subject: str) -> Finding:
    """A frozen cell without new rows."""
    text = "frozen, but no new row of the same comparison and protocol"
    return Finding(2, subject, MISSING, text)


def judge(cells: Sequence[CellSeeds], sensitivity: Mapping[str, float]) -> list[Finding]:
    """One finding per cell, in their order by quantity; all of them are one family of tests."""
    families = [[cell for cell in cells if cell.quantity == wanted] for wanted in TESTED]
    changes = stats.changes(*([(cell.new, cell.old) for cell in family] for family in families))
    pairs = [
        (cell, change)
        for family, tested in zip(families, changes, strict=True)
        for cell, change in zip(family, tested, strict=True)
    ]
    alpha = stats.ALPHA / max(1, 2 * sum(not change.why for _, change in pairs))  # of one side
    return [
        Finding(
            2,
            f"{cell.name} · {cell.quantity.name}",
            *verdict(cell, change, sensitivity.get(cell.quantity.name, 0.0), alpha),
        )
        for cell, change in pairs
    ]


def verdict(
    cell: CellSeeds, change: stats.Change, promised: float, alpha: float
) -> tuple[str, str, dict[str, Any]]:
    """(verdict, reason, numbers) of a cell; ``alpha`` is that of Holm's first step, one-sided."""
    larger, margin = cell.quantity.larger, cell.quantity.margin
    facts = {"new": list(cell.new), "frozen": list(cell.old), "change": of_means(cell),
             "p": change.p, "margin": margin, "sensitivity": promised}  # fmt: skip
    if change.difference is None or change.spreads is None or change.p is None:
        return UNSURE, f"{summary(cell, change)}; {change.why}: can't tell", facts
    worsening = float(change.difference.estimate) * (-1 if larger else 1)
    text = summary(cell, change)
    if change.p < stats.ALPHA and abs(share(worsening, larger)) > margin:
        word = WORSE if worsening > 0 else BETTER
        return word, f"{text}, beyond the margin of {percent(margin)}", facts
    seen = share(change.difference.detectable(alpha), larger)
    facts["detectable"] = seen
    if seen <= promised:
        return OK, f"{text}; would have seen ≥ {percent(seen)}", facts
    needed = stats.seeds_needed(*change.spreads, log_change(promised, larger), alpha)
    more = None if needed is None else max(1, needed - len(cell.new))
    wish = "freeze more seeds" if more is None else f"{more} more seeds would tell"
    return UNSURE, f"{text}; sees ≥ {percent(seen)}, not {percent(promised)}: {wish}", facts


def of_means(cell: CellSeeds) -> float | None:
    """The change of the mean as a share of the frozen one; None if that is 0."""
    old = float(np.mean(cell.old))
    return float(np.mean(cell.new)) / old - 1 if old else None


def summary(cell: CellSeeds, change: stats.Change) -> str:
    """The numbers behind a verdict in words."""
    share_of_old, counts = of_means(cell), (len(cell.new), len(cell.old))
    parts = [] if share_of_old is None else [percent(share_of_old, "+")]
    parts.append(seeds_text("against", counts, cell.diverged, change.borrowed))
    parts += [] if change.p is None else [f"p {stats.p_text(change.p)}"]
    return f"{np.mean(cell.new):.4g} against {np.mean(cell.old):.4g} ({', '.join(parts)})"


def seeds_text(
    between: str, counts: tuple[int, int], diverged: tuple[int, int], borrowed: float
) -> str:
    """Numbers of seeds, and what tests borrow: "3 (1 diverged) against 10 seeds + 1.3 df"."""
    sides = [
        f"{count} ({lost} diverged)" if lost else f"{count}"
        for count, lost in zip(counts, diverged, strict=True)
    ]
    text = f"{f' {between} '.join(sides)} seeds"
    return f"{text} + {borrowed:.1f} df" if borrowed >= 0.05 else text


def share(log_difference: float, larger: bool) -> float:
    """A worsening in logarithms -> as a share of the old value."""
    log_difference = min(log_difference, MOST_SHOWN)
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
    rounded up to a whole percent; no metric of which a hundredfold change might be missed.
    """
    families = {
        quantity: [np.log(seeds) for seeds in values(rows, quantity).values() if testable(seeds)]
        for quantity in TESTED
    }
    alpha = stats.ALPHA / max(1, 2 * sum(map(len, families.values())))
    promises = {}
    for quantity, cells in families.items():
        seen = HEADROOM * max(detectable(cells, alpha), default=math.inf)
        if seen <= MOST_PROMISED:
            percents = math.ceil(100 * share(seen, quantity.larger))
            promises[quantity.name] = (min(percents, 99) if quantity.larger else percents) / 100
    return promises


def testable(seeds: Sequence[float]) -> bool:
    """Whether seeds have logarithms and a spread to be told."""
    return len(seeds) > 1 and min(seeds) > 0


def detectable(cells: Sequence[Any], alpha: float) -> list[float]:
    """The change that each frozen cell would show against three new seeds, in logarithms."""
    old = stats.spreads_of(cells)
    new = replace(old, count=NEW_SEEDS)
    differences = [stats.difference(0.0, new.at(i), old.at(i)) for i in range(len(cells))]
    return [difference.detectable(alpha) for difference in differences]
