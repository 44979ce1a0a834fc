"""Two means and the difference between them: intervals, one- and two-sided p, margins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special  # scipy.stats would take a second to load

ALPHA = 0.05  # of all tests that are adjusted together
POWER = 0.8  # of the smallest detectable change
LEAST_P = float(np.finfo(np.float64).eps)  # below it a p is rounding


@dataclass(frozen=True)
class Difference:
    """A difference of two means: floats, or arrays over cells that broadcast."""

    estimate: Any
    standard_error: Any
    df: Any

    def p_greater(self, margin: float = 0.0) -> Any:
        """One-sided p of "the difference is at most ``margin``": small if it is larger.

        Never below ``LEAST_P``. Without any spread the difference is known: p is that small beyond
        the margin and 1 elsewhere.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.subtract(self.estimate, margin) / self.standard_error
        p = np.where(
            np.equal(self.standard_error, 0),
            np.where(np.greater(self.estimate, margin), 0.0, 1.0),
            special.stdtr(self.df, -t),
        )
        return np.maximum(p, LEAST_P)[()]

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

    def detectable(self, alpha: float = ALPHA) -> float:
        """The change that a one-sided test at ``alpha`` sees with probability ``POWER``.

        By the noncentral t distribution; 0 if there is no spread. Of floats only.
        """
        critical = -special.stdtrit(self.df, alpha)
        return float(self.standard_error * special.nctdtrinc(self.df, 1 - POWER, critical))


def mean_interval(values: Sequence[float], level: float = 1 - ALPHA) -> tuple[float, float]:
    """The t-interval of a mean, (low, high); (NaN, NaN) for fewer than two values."""
    if len(values) < 2:
        return math.nan, math.nan
    error = np.std(values, ddof=1) / math.sqrt(len(values))
    half = special.stdtrit(len(values) - 1, (1 + level) / 2) * error
    return float(np.mean(values) - half), float(np.mean(values) + half)


def p_text(p: float) -> str:
    """A p value as printed: "0.034", "< 0.001"."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


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


def from_population_sd(sd: float, n: int) -> float:
    """The sample SD (ddof 1) from a population SD (ddof 0) of n values, the paper's plus-minus."""
    return sd * math.sqrt(n / (n - 1))


def welch_from_stats(
    mean_a: float, sd_a: float, n_a: int, mean_b: float, sd_b: float, n_b: int
) -> Difference:
    """Difference of means from their sample SDs (ddof 1); Welch 1947, Satterthwaite's df."""
    va, vb = sd_a**2 / n_a, sd_b**2 / n_b
    spread = va**2 / (n_a - 1) + vb**2 / (n_b - 1)
    df = (va + vb) ** 2 / spread if spread else n_a + n_b - 2
    return Difference(mean_a - mean_b, math.sqrt(va + vb), df)
