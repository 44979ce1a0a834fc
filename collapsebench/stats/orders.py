"""Whether cells stand in the same order in two places: Kendall's tau, its interval over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from collapsebench.stats.differences import ALPHA
from collapsebench.stats.words import CANT_TELL

STANDS, MOVES = "stands", "moves"
ENOUGH = 0.9  # an order stands if tau is at least this
LEAST = 0.7  # and its interval lies above this
RESAMPLES = 2_000
TAILS = (ALPHA / 2, 1 - ALPHA / 2)


@dataclass(frozen=True)
class Agreement:
    """Two orders of the same cells.

    Attributes:
        tau: Kendall's tau-b of the cells' means, in [-1, 1]; NaN for fewer than two cells or where
            all means of one side are equal.
        low, high: its 95 % interval; NaN where a cell has one seed.
        by_seeds: what other seeds alone would leave of it in 39 of 40 repeats, on the side whose
            seeds differ more; NaN where a cell has one seed.
        ranks: of each cell on both sides, 1 for the largest mean.
    """

    tau: float
    low: float
    high: float
    by_seeds: float
    ranks: tuple[tuple[int, int], ...]

    @property
    def word(self) -> str:
        """Whether the order "stands" or "moves", further than seeds would, or "can't tell"."""
        if self.tau >= ENOUGH and self.low > LEAST:
            return STANDS
        return MOVES if self.tau < min(self.by_seeds, ENOUGH) else CANT_TELL


def agreement(a: Sequence[Sequence[float]], b: Sequence[Sequence[float]]) -> Agreement:
    """Whether cells stand in one order in ``a`` and in ``b``, by geometric means as in every test.

    Intervals are of the bootstrap: each cell of either side draws as many of its seeds as it has,
    with replacement. An order of noise agrees with nothing, not even with itself; so it "moves"
    only if two bootstraps of one side agree better than the two sides do.

    Args:
        a, b: the seeds of each cell, the cells in one order; arithmetic means if one is not
            positive.
    """
    logs = min(min(cell) for cell in [*a, *b]) > 0
    sides = [[np.log(cell) if logs else np.asarray(cell) for cell in side] for side in (a, b)]
    means = [np.array([cell.mean() for cell in side]) for side in sides]
    tau = float(kendall(*means))
    low = high = by_seeds = math.nan
    if not math.isnan(tau) and min(len(cell) for side in sides for cell in side) > 1:
        rng = np.random.default_rng(0)
        (left, left_again), (right, right_again) = (
            (resampled(side, rng), resampled(side, rng)) for side in sides
        )
        low, high = np.nanquantile(kendall(left, right), TAILS)
        repeats = kendall(left, left_again), kendall(right, right_again)
        by_seeds = min(float(np.nanquantile(taus, TAILS[0])) for taus in repeats)
    ranks = [np.argsort(np.argsort(-side, kind="stable")) + 1 for side in means]
    pairs = tuple((int(i), int(j)) for i, j in zip(*ranks, strict=True))
    return Agreement(tau, float(low), float(high), by_seeds, pairs)


def resampled(cells: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Means (resamples, cells) of seeds drawn with replacement, cell by cell.

    Such means vary by (n - 1) / n of what the means of new seeds vary by, two thirds of it for
    three seeds, and are stretched accordingly.
    """
    draws = [
        cell.mean()
        + (rng.choice(cell, (RESAMPLES, len(cell))).mean(axis=1) - cell.mean())
        * math.sqrt(len(cell) / (len(cell) - 1))
        for cell in cells
    ]
    return np.stack(draws, axis=1)


def kendall(x: np.ndarray, y: np.ndarray) -> Any:
    """Kendall's tau-b along the last axis: ties on one side count for neither order."""
    first, second = np.triu_indices(x.shape[-1], k=1)
    of_x, of_y = (np.sign(side[..., first] - side[..., second]) for side in (x, y))
    norm = np.sqrt((of_x**2).sum(-1) * (of_y**2).sum(-1))
    with np.errstate(invalid="ignore"):
        return (of_x * of_y).sum(-1) / norm
