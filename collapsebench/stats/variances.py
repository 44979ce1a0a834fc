"""Spreads of a few seeds that inform each other, so that few are enough, and no more than honest.

``tests/stats/error_rates.py`` simulates what this is chosen for: tests of equal groups are
significant in at most 7 % of comparisons, whatever the ratio of their variances.
docs/checks.md has its tables.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from collapsebench.stats.differences import ALPHA, LEAST_P, Difference

CAUTION = 0.9  # confidence that variances differ no more than tests reckon with
ROUNDING = 1e-12  # relative; values that differ by less are equal
MOST_SEEDS = 1000  # where the search for the number of seeds ends

Values = Sequence[float] | np.ndarray  # of the seeds of one group


def _inverse_trigamma(x: Any) -> Any:
    """y with trigamma(y) = x > 0, by Newton's method on 1 / trigamma (Smyth 2004, appendix)."""
    y = 0.5 + 1 / x
    while True:
        value = special.polygamma(1, y)
        step = value * (1 - value / x) / special.polygamma(2, y)
        y = y + step
        if np.all(np.abs(step) <= 1e-10 * y):
            return y


def variance_prior(variances: ArrayLike, df: ArrayLike) -> tuple[Any, Any]:
    """What groups say about variances in general: (s0 squared, d0), over the last axis, kept.

    Smyth 2004, "Linear models and empirical Bayes methods for assessing differential expression",
    section 6.2: moments of the logarithms of the sample variances, each on ``df`` > 0. How far the
    true variances differ is poorly known from a few groups, so the most counts that it may be with
    confidence ``CAUTION``: a chi-squared bound, its degrees of freedom fewer for the kurtosis of
    log chi-squared (O'Neill 2014, "Some useful moment results in sampling problems", section 3).
    d0 is infinite where even so they differ no more than by chance, and 0 where fewer than two
    groups have a spread; a group without one says nothing of the others.
    """
    variances = np.asarray(variances, dtype=np.float64)
    half, known = np.broadcast_to(np.asarray(df) / 2, variances.shape), variances > 0
    n = known.sum(-1, keepdims=True)
    n_or_2 = np.maximum(n, 2)

    def mean(of_groups: Any) -> Any:
        return np.sum(of_groups * known, axis=-1, keepdims=True) / n_or_2

    e = np.log(np.where(known, variances, 1.0)) - special.digamma(half) + np.log(half)
    by_chance = special.polygamma(1, half)
    kurtosis = mean(special.polygamma(3, half)) / np.maximum(mean(by_chance**2), LEAST_P)
    bound_df = 2 / (2 / (n_or_2 - 1) + kurtosis / n_or_2)
    scatter = mean((e - mean(e)) ** 2) * n_or_2 / (n_or_2 - 1)
    excess = scatter * bound_df / special.chdtri(bound_df, CAUTION) - mean(by_chance)
    half_d0 = _inverse_trigamma(np.where(excess > 0, excess, 1.0))
    shift = np.where(excess > 0, special.digamma(half_d0) - np.log(half_d0), 0.0)
    d0 = np.where(excess > 0, 2 * half_d0, np.inf)
    return np.exp(mean(e) + shift), np.where(n < 2, 0.0, d0)


@dataclass(frozen=True)
class Spread:
    """How much the seeds of a group differ: numbers, or arrays whose last axis is groups.

    Attributes:
        count: seeds, at least 2.
        variance: of one seed.
        borrowed: degrees of freedom that other groups lend; ``count - 1`` are its own.
    """

    count: Any
    variance: Any
    borrowed: Any = 0.0

    @property
    def df(self) -> Any:
        """Degrees of freedom of the variance."""
        return self.count - 1 + self.borrowed

    def at(self, groups: Any) -> Spread:
        """The spreads of some groups, by index."""
        parts = np.broadcast_arrays(self.count, self.variance, self.borrowed)
        return Spread(*(part[..., groups] for part in parts))


def spreads(variances: ArrayLike, counts: ArrayLike) -> Spread:
    """Sample variances of groups -> spreads that inform each other, over the last axis.

    Smyth 2004, section 3, for each group by itself: (d0 s0^2 + d s^2) / (d0 + d) on d0 + d degrees
    of freedom, at most those of all groups together. What is borrowed never makes a variance
    smaller: the group that differs more than the others is the one that false alarms come from.
    """
    own, counts = np.asarray(variances, dtype=np.float64), np.asarray(counts)
    s0_squared, d0 = variance_prior(own, counts - 1)
    share = np.where(np.isinf(d0), 1.0, d0 / (np.where(np.isinf(d0), 1.0, d0) + counts - 1))
    known_df = (counts - 1) * (own > 0)
    of_others = known_df.sum(-1, keepdims=True) - known_df
    variance = own + share * np.maximum(0.0, s0_squared - own)
    return Spread(counts, variance, np.minimum(d0, of_others))


def difference(estimate: Any, a: Spread, b: Spread) -> Difference:
    """A difference of the means of two groups, whose variances need not be equal.

    On the smaller of both degrees of freedom, with which t is never too often large, whatever the
    ratio of the variances (Mickey and Brown 1966, "Bounds on the distribution functions of the
    Behrens-Fisher statistic"); Satterthwaite's fail in the tail that many cells look at.
    """
    error = np.sqrt(a.variance / a.count + b.variance / b.count)
    return Difference(estimate, error, np.minimum(a.df, b.df))


def seeds_needed(a: Spread, b: Spread, change: float, alpha: float = ALPHA) -> int | None:
    """The least number of seeds of ``a`` with which ``change`` is detectable at ``alpha``.

    None if ``MOST_SEEDS`` are not enough: ``b`` is then too small.
    """

    def detectable(n: int) -> bool:
        return difference(0.0, replace(a, count=n), b).detectable(alpha) <= change

    numbers = range(2, MOST_SEEDS + 1)
    place = bisect_left(numbers, True, key=detectable)
    return numbers[place] if place < len(numbers) else None


def spreads_of(groups: Sequence[Values]) -> Spread:
    """The spreads of groups of two values at least; equal values have no variance of their own."""
    equal = [np.ptp(group) <= ROUNDING * np.max(np.abs(group)) for group in groups]
    own = [0.0 if e else float(np.var(g, ddof=1)) for g, e in zip(groups, equal, strict=True)]
    return spreads(own, [len(group) for group in groups])
