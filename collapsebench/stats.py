"""Statistics for a few seeds: intervals, tests with margins, variances shrunk across cells.

Everything that compares two groups is a ``Difference``: an estimate, its standard error and its
degrees of freedom, as floats or as arrays over cells. Its methods are the tests. Groups of seeds
are small, so every function says what happens with one value or with no spread.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special  # scipy.stats would take a second to load

ALPHA = 0.05  # of every verdict
POWER = 0.8  # of the smallest detectable change
PAPER_MARGIN = 0.05  # share of the published mean within which a result counts as the same
MOST_SEEDS = 1000  # where the search for the number of seeds ends

Values = Sequence[float] | np.ndarray  # of the seeds of one cell


@dataclass(frozen=True)
class Difference:
    """A difference of two means: floats, or arrays over cells that broadcast."""

    estimate: Any
    standard_error: Any
    df: Any

    def p_greater(self, margin: float = 0.0) -> Any:
        """One-sided p of "the difference is at most ``margin``": small if it is larger.

        Without any spread the difference is known: p is 0 beyond the margin and 1 elsewhere.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.subtract(self.estimate, margin) / self.standard_error
        return np.where(
            np.equal(self.standard_error, 0),
            np.where(np.greater(self.estimate, margin), 0.0, 1.0),
            special.stdtr(self.df, -t),
        )[()]

    def p_less(self, margin: float = 0.0) -> Any:
        """One-sided p of "the difference is at least ``margin``": small if it is smaller."""
        return Difference(np.negative(self.estimate), self.standard_error, self.df).p_greater(
            -margin
        )

    def p_different(self) -> Any:
        """Two-sided p of "there is no difference"."""
        return np.minimum(1.0, 2 * np.minimum(self.p_greater(), self.p_less()))

    def p_equivalent(self, margin: float) -> Any:
        """TOST p of "the difference is ``margin`` or more, up or down": small if it is within.

        Schuirmann 1987: the larger of the two one-sided p values.
        """
        return np.maximum(self.p_greater(-margin), self.p_less(margin))

    def interval(self, level: float = 1 - ALPHA) -> tuple[Any, Any]:
        """The two-sided t-interval, (low, high); infinite without degrees of freedom."""
        half = special.stdtrit(self.df, (1 + level) / 2) * self.standard_error
        return self.estimate - half, self.estimate + half


def mean_interval(values: Sequence[float], level: float = 1 - ALPHA) -> tuple[float, float]:
    """The t-interval of a mean, (low, high); (NaN, NaN) for fewer than two values."""
    if len(values) < 2:
        return math.nan, math.nan
    error = np.std(values, ddof=1) / math.sqrt(len(values))
    half = special.stdtrit(len(values) - 1, (1 + level) / 2) * error
    return float(np.mean(values) - half), float(np.mean(values) + half)


def from_population_sd(sd: float, n: int) -> float:
    """The sample SD (ddof 1) from a population SD (ddof 0) of n values, the paper's plus-minus."""
    return sd * math.sqrt(n / (n - 1))


def welch(a: ArrayLike, b: ArrayLike) -> Difference:
    """Mean of ``a`` minus mean of ``b``, variances not assumed equal; two values each at least."""
    return welch_from_stats(*_mean_sd_n(a), *_mean_sd_n(b))


def _mean_sd_n(values: ArrayLike) -> tuple[float, float, int]:
    values = np.asarray(values, dtype=np.float64)
    return float(values.mean()), float(values.std(ddof=1)), values.size


def welch_from_stats(
    mean_a: float, sd_a: float, n_a: int, mean_b: float, sd_b: float, n_b: int
) -> Difference:
    """``welch`` from means and sample SDs (ddof 1); Welch 1947, Satterthwaite's df."""
    va, vb = sd_a**2 / n_a, sd_b**2 / n_b
    spread = va**2 / (n_a - 1) + vb**2 / (n_b - 1)
    df = (va + vb) ** 2 / spread if spread else n_a + n_b - 2
    return Difference(mean_a - mean_b, math.sqrt(va + vb), df)


def holm(p: ArrayLike) -> Any:
    """Holm's adjusted p values along the last axis: family-wise error, whatever the dependence.

    Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    p = np.asarray(p, dtype=np.float64)
    order = np.argsort(p, axis=-1)
    tests_left = np.arange(p.shape[-1], 0, -1)
    stepped = np.maximum.accumulate(np.take_along_axis(p, order, -1) * tests_left, axis=-1)
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, np.minimum(1.0, stepped), -1)
    return adjusted


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
    """What the cells say about variances in general: (s0 squared, d0), over the last axis.

    Smyth 2004, "Linear models and empirical Bayes methods for assessing differential expression",
    section 6.2: moments of the logarithm of the sample variances, each on ``df`` > 0. d0 is
    infinite if the cells differ no more than chance makes them, and 0 for a single cell: no
    shrinking. A variance below a hundred-thousandth of the median one counts as that, as in limma.
    """
    variances, half = np.asarray(variances, dtype=np.float64), np.asarray(df) / 2
    if variances.shape[-1] < 2:
        return variances[..., 0], np.zeros(variances.shape[:-1])
    least = 1e-5 * np.median(variances, axis=-1, keepdims=True) + np.finfo(np.float64).tiny
    e = np.log(np.maximum(variances, least)) - special.digamma(half) + np.log(half)
    excess = np.var(e, axis=-1, ddof=1) - np.mean(special.polygamma(1, half))
    shrinks = excess > 0
    half_d0 = _inverse_trigamma(np.where(shrinks, excess, 1.0))
    shift = np.where(shrinks, special.digamma(half_d0) - np.log(half_d0), 0.0)
    return np.exp(np.mean(e, axis=-1) + shift), np.where(shrinks, 2 * half_d0, np.inf)


def shrunk(variances: ArrayLike, df: ArrayLike) -> tuple[Any, Any]:
    """Variances shrunk towards what ``variance_prior`` finds, and their degrees of freedom.

    Smyth 2004, section 3: (d0 s0^2 + d s^2) / (d0 + d) on d0 + d degrees of freedom, at most those
    of all cells together.
    """
    own = np.asarray(variances, dtype=np.float64)
    d = np.broadcast_to(np.asarray(df), own.shape)
    s0_squared, d0 = (np.expand_dims(part, -1) for part in variance_prior(own, d))
    prior_share = np.where(np.isinf(d0), 1.0, d0 / np.where(np.isinf(d0), 1.0, d0 + d))
    found = prior_share * s0_squared + (1 - prior_share) * own
    return found, np.minimum(d0 + d, d.sum(-1, keepdims=True))


def moderated_from_stats(
    estimate: ArrayLike, variance: ArrayLike, n_a: ArrayLike, n_b: ArrayLike
) -> Difference:
    """Moderated t over cells (last axis): pooled variances, ``shrunk`` towards each other.

    Args:
        estimate: differences of means.
        variance: pooled within-group variances.
        n_a: values in the first group of each cell.
        n_b: values in the second; ``n_a + n_b`` at least 3.
    """
    n_a, n_b = np.asarray(n_a), np.asarray(n_b)
    pooled, df = shrunk(variance, n_a + n_b - 2)
    return Difference(np.asarray(estimate), np.sqrt(pooled * (1 / n_a + 1 / n_b)), df)


def moderated(cells: Sequence[tuple[Values, Values]]) -> Difference:
    """Moderated t of mean(a) - mean(b) for each cell (a, b), arrays in the order of ``cells``.

    A cell has at least three values in its two groups together.
    """
    estimate = [np.mean(a) - np.mean(b) for a, b in cells]
    n_a, n_b = (np.array([len(cell[side]) for cell in cells]) for side in (0, 1))
    squares = [np.var(a) * len(a) + np.var(b) * len(b) for a, b in cells]
    return moderated_from_stats(estimate, np.array(squares) / (n_a + n_b - 2), n_a, n_b)


@dataclass(frozen=True)
class Change:
    """From b's geometric mean to a's, as a share of b's: with a 95 % interval and adjusted p."""

    change: float
    low: float
    high: float
    p: float


def changes(cells: Sequence[tuple[Values, Values]]) -> list[Change | None]:
    """Moderated t-tests of the logarithms of each cell (a, b), two-sided, adjusted by Holm.

    None where nothing can be tested: fewer than three values together, or one that has no
    logarithm. Such a cell counts neither for the variances nor for the adjustment.
    """
    testable = [len(a) + len(b) > 2 and min(*a, *b) > 0 for a, b in cells]
    logs = [(np.log(a), np.log(b)) for (a, b), can in zip(cells, testable, strict=True) if can]
    if not logs:
        return [None] * len(cells)
    found = moderated(logs)
    shares = [np.expm1(value) for value in (found.estimate, *found.interval())]
    rows = zip(*shares, holm(found.p_different()), strict=True)
    tested = iter([Change(*map(float, row)) for row in rows])
    return [next(tested) if can else None for can in testable]


def smallest_detectable_change(
    standard_error: float, df: float, alpha: float = ALPHA, power: float = POWER
) -> float:
    """The change that a one-sided t-test at ``alpha`` sees with probability ``power``.

    In units of the standard error, by the noncentral t distribution; 0 if there is no spread.
    """
    critical = -special.stdtrit(df, alpha)
    if not math.isfinite(df):
        return float(standard_error * (critical + special.ndtri(power)))
    return float(standard_error * special.nctdtrinc(df, 1 - power, critical))


def seeds_needed(
    sd: float, change: float, n_baseline: int, prior_df: float = 0.0, alpha: float = ALPHA
) -> int | None:
    """The least number of new seeds with which ``change`` is seen with probability ``POWER``.

    Args:
        sd: within-group SD.
        change: what must be seen, in the units of ``sd``.
        n_baseline: values on the other side, fixed.
        prior_df: d0 of ``variance_prior``.
        alpha: level of the one-sided test; divide by the number of cells for Bonferroni and Holm.

    Returns:
        None if ``MOST_SEEDS`` are not enough: the baseline itself is then too small.
    """
    for n in range(1, MOST_SEEDS + 1):
        df = n + n_baseline - 2 + prior_df
        error = sd * math.sqrt(1 / n + 1 / n_baseline)
        if df >= 1 and smallest_detectable_change(error, df, alpha) <= change:
            return n
    return None


def verdict_against_paper(
    values: Sequence[float],
    paper_mean: float,
    paper_sd: float,
    paper_n: int,
    margin: float = PAPER_MARGIN,
) -> str:
    """One of "reproduced", "differs" and "inconclusive".

    Reproduced: equivalent within ``margin`` times the published mean, by TOST. Differs: not so,
    and different by Welch's test. A single value is inconclusive. ``paper_sd`` is as printed,
    a population SD (ddof 0).
    """
    if len(values) < 2 or paper_n < 2:
        return "inconclusive"
    sd = from_population_sd(paper_sd, paper_n)
    difference = welch_from_stats(*_mean_sd_n(values), paper_mean, sd, paper_n)
    if difference.p_equivalent(margin * abs(paper_mean)) < ALPHA:
        return "reproduced"
    return "differs" if difference.p_different() < ALPHA else "inconclusive"


def best_group(cells: Mapping[str, Sequence[float]], larger_is_better: bool) -> set[str]:
    """Names of the cells that are not significantly worse than the one with the best mean.

    t-tests with moderated variances, on logarithms where all values are positive. Which cell is the
    best is only known from the same values, so each comparison with it counts as one of all pairs
    (Bonferroni). A cell of a single value cannot be shown to be worse, nor can anything be shown to
    be worse than it. An empty mapping gives an empty set.
    """
    if not cells:
        return set()
    sign = 1.0 if larger_is_better else -1.0
    best = max(cells, key=lambda name: sign * float(np.mean(cells[name])))
    tested = [name for name in cells if len(cells[name]) > 1]
    if best not in tested:
        return set(cells)
    positive = min(min(cells[name]) for name in tested) > 0
    groups = [sign * (np.log if positive else np.asarray)(cells[name]) for name in tested]
    mean, count = np.array([np.mean(g) for g in groups]), np.array([len(g) for g in groups])
    variance, df = shrunk(np.array([np.var(g, ddof=1) for g in groups]), count - 1)
    error, i = variance / count, tested.index(best)
    share = error / (error + error[i])
    df = np.minimum(1 / (share**2 / df + (1 - share) ** 2 / df[i]), np.sum(count - 1))
    difference = Difference(mean[i] - mean, np.sqrt(error + error[i]), df)  # Satterthwaite's df
    pairs = max(1, math.comb(len(tested), 2))
    worse = 2 * pairs * difference.p_greater() < ALPHA
    return set(cells) - {name for name, is_worse in zip(tested, worse, strict=True) if is_worse}
