"""How often tests of two groups are wrong, and what they see, by simulation.

Values are drawn from normal distributions, as logarithms of seeds' values roughly are. What is
tested is the package's ``spreads``, ``difference`` and ``standings``; beside them stand the tests
that they were chosen over.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from collapsebench import stats
from collapsebench.stats.orders import MOVES, STANDS, agreement
from collapsebench.stats.variances import _inverse_trigamma
from collapsebench.stats.words import CANT_TELL

REPLICATES = 1000  # of each setting; the worst of a row is drawn anew with twenty times as many
ORDERS = 400  # pairs of orders of each setting
PATTERNS = ("every cell", "one cell", "at random")
BETWEEN = (1.0, 4.0)  # how far SDs of cells of one side differ
CELLS = (1, 2, 6, 18)


@dataclass(frozen=True)
class Setting:
    """What is compared.

    Attributes:
        seeds: of A and of B.
        ratio: of A's SD to B's.
        pattern: in which cells SDs have this ratio; "at random": up to it, up or down.
        between: ratio of the largest to the smallest SD that cells of B may have, log-uniform.
        change: of A's mean in the first cell, in root mean squares of both SDs.
    """

    seeds: tuple[int, int]
    ratio: float = 1.0
    pattern: str = "every cell"
    cells: int = 6
    between: float = 4.0
    change: float = 0.0


@dataclass(frozen=True)
class Drawn:
    """A's mean minus B's (replicates, cells), their sample variances and numbers of seeds."""

    estimate: np.ndarray
    variances: tuple[np.ndarray, np.ndarray]
    seeds: tuple[int, int]

    @property
    def together(self) -> tuple[np.ndarray, np.ndarray]:
        """Variances and numbers of seeds of all groups, A's before B's: (replicates, 2 cells)."""
        return np.concatenate(self.variances, -1), np.repeat(self.seeds, self.estimate.shape[-1])


def draw(setting: Setting, replicates: int, rng: np.random.Generator) -> Drawn:
    """Replicates of all cells of one metric."""
    shape, (n_a, n_b) = (replicates, setting.cells), setting.seeds
    half = math.log(setting.between) / 2
    sd_b = np.exp(rng.uniform(-half, half, shape))
    exponent = {
        "every cell": np.ones(shape),
        "one cell": np.eye(1, setting.cells),
        "at random": rng.uniform(-1, 1, shape),
    }[setting.pattern]
    sd_a = sd_b * setting.ratio**exponent
    estimate = rng.normal(size=shape) * np.sqrt(sd_a**2 / n_a + sd_b**2 / n_b)
    estimate[:, 0] += setting.change * np.sqrt((sd_a**2 + sd_b**2) / 2)[:, 0]
    variance_a, variance_b = (
        sd**2 * rng.chisquare(n - 1, shape) / (n - 1) for sd, n in ((sd_a, n_a), (sd_b, n_b))
    )
    return Drawn(estimate, (variance_a, variance_b), setting.seeds)


def smyth(variances: np.ndarray, df: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variances shrunk over the last axis as in Smyth 2004, and their degrees of freedom."""
    half = df / 2
    e = np.log(variances) - special.digamma(half) + np.log(half)
    if variances.shape[-1] < 2:
        return variances, df
    excess = np.var(e, axis=-1, ddof=1, keepdims=True) - np.mean(special.polygamma(1, half))
    half_d0 = _inverse_trigamma(np.maximum(excess, 1e-6))
    s0_squared = np.exp(e.mean(-1, keepdims=True) + special.digamma(half_d0) - np.log(half_d0))
    shrunk = (2 * half_d0 * s0_squared + df * variances) / (2 * half_d0 + df)
    return shrunk, np.minimum(2 * half_d0 + df, np.sum(df))


def pooled(drawn: Drawn) -> np.ndarray:
    """Moderated t with one variance for both groups."""
    n_a, n_b = drawn.seeds
    (va, vb), df = drawn.variances, n_a + n_b - 2
    both = (va * (n_a - 1) + vb * (n_b - 1)) / df
    variance, df = smyth(both, np.full(both.shape[-1], df))
    error = np.sqrt(variance * (1 / n_a + 1 / n_b))
    return stats.Difference(drawn.estimate, error, df).p_different()


def unequal(drawn: Drawn, variance: np.ndarray, df: np.ndarray) -> np.ndarray:
    """t with a variance for each group, on Satterthwaite's degrees of freedom."""
    a, b = np.split(variance / drawn.together[1], 2, -1)
    df_a, df_b = np.split(np.broadcast_to(df, variance.shape), 2, -1)
    satterthwaite = (a + b) ** 2 / (a**2 / df_a + b**2 / df_b)
    return stats.Difference(drawn.estimate, np.sqrt(a + b), satterthwaite).p_different()


def welch(drawn: Drawn) -> np.ndarray:
    """Welch's t-test."""
    variances, n = drawn.together
    return unequal(drawn, variances, n - 1)


def moderated_welch(drawn: Drawn) -> np.ndarray:
    """Welch's with variances shrunk as in Smyth 2004."""
    variances, n = drawn.together
    return unequal(drawn, *smyth(variances, n - 1))


def smaller(drawn: Drawn, spread: stats.Spread) -> np.ndarray:
    """t on the smaller degrees of freedom."""
    half = drawn.estimate.shape[-1]
    a, b = spread.at(np.arange(half)), spread.at(np.arange(half, 2 * half))
    return stats.difference(drawn.estimate, a, b).p_different()


def plain_smaller(drawn: Drawn) -> np.ndarray:
    """Welch's t on the smaller degrees of freedom, nothing borrowed."""
    variances, n = drawn.together
    return smaller(drawn, stats.Spread(n, variances))


def ours(drawn: Drawn) -> np.ndarray:
    """What this package does."""
    return smaller(drawn, stats.spreads(*drawn.together))


Test = Callable[[Drawn], np.ndarray]

OURS = "**this package's**"
TESTS: dict[str, Test] = {
    "pooled, moderated": pooled,
    "Welch": welch,
    "Welch, moderated": moderated_welch,
    "Welch, smaller df": plain_smaller,
    OURS: ours,
}


def called(test: Test, drawn: Drawn) -> np.ndarray:
    """Which cells a test calls different at 5 % over all cells, (replicates, cells)."""
    return stats.holm(test(drawn)) < stats.ALPHA


def false_alarms(test: Test, drawn: Drawn) -> float:
    """Share of replicates in which any cell is called different."""
    return float(called(test, drawn).any(axis=-1).mean())


def settings(seeds: tuple[int, int], ratio: float) -> Iterator[Setting]:
    """Every setting with these seeds and this ratio of spreads, either way round."""
    for turned, pattern, cells, between in itertools.product(
        sorted({ratio, 1 / ratio}), PATTERNS, CELLS, BETWEEN
    ):
        yield Setting(seeds, turned, pattern, cells, between)


def worst(seeds: tuple[int, int], ratio: float, rng: np.random.Generator) -> dict[str, float]:
    """Test -> its false alarms in the setting where they are most frequent."""
    rates: dict[str, dict[Setting, float]] = {name: {} for name in TESTS}
    for setting in settings(seeds, ratio):
        drawn = draw(setting, REPLICATES, rng)
        for name, test in TESTS.items():
            rates[name][setting] = false_alarms(test, drawn)
    return {
        name: false_alarms(test, draw(max(found, key=found.get), 20 * REPLICATES, rng))
        for (name, test), found in zip(TESTS.items(), rates.values(), strict=True)
    }


def seen(test: Test, setting: Setting, rng: np.random.Generator) -> float:
    """Share of replicates in which the changed cell is called different."""
    return float(called(test, draw(setting, 4 * REPLICATES, rng))[:, 0].mean())


@dataclass(frozen=True)
class Column:
    """A table's column of methods: SDs of logarithms, and how far each lies behind the best."""

    seeds: int
    sd: Sequence[float]
    behind: Sequence[float]

    def draw(self, rng: np.random.Generator) -> dict[int, np.ndarray]:
        """Method -> its seeds' values; larger is better."""
        noise = rng.normal(size=(len(self.sd), self.seeds)) * np.reshape(self.sd, (-1, 1))
        return dict(enumerate(np.exp(noise - np.reshape(self.behind, (-1, 1)))))


def ranked(column: Column, replicates: int, rng: np.random.Generator) -> np.ndarray:
    """The words of ``standings``, "" for the best mean: (replicates, methods)."""
    tables = []
    for _ in range(replicates):
        cells = column.draw(rng)
        words = [standing.word for standing in stats.standings(cells, True).values()]
        words[int(np.argmax([values.mean() for values in cells.values()]))] = ""
        tables.append(words)
    return np.array(tables)


ALIKE, UNLIKE = (0.02,) * 6, (0.01, 0.04, 0.01, 0.04, 0.01, 0.04)  # SDs
EQUAL, AT_MARGIN, HALF = (0.0,) * 6, (0.0, *[math.log1p(stats.MARGIN)] * 5), (0.0, *[0.7] * 5)


def called_worse(seeds: int, sd: Sequence[float], rng: np.random.Generator) -> float:
    """Share of columns of equal methods in which any is called worse."""
    words = ranked(Column(seeds, sd, EQUAL), REPLICATES, rng)
    return float((words == stats.WORSE).any(axis=1).mean())


def called_best(seeds: int, sd: Sequence[float], rng: np.random.Generator) -> float:
    """Share of columns in which a method that is the margin behind is said to be within it."""
    words = ranked(Column(seeds, sd, AT_MARGIN), REPLICATES, rng)
    return float((words[:, 1:] == stats.BEST).any(axis=1).mean())


def told(
    seeds: int, sd: Sequence[float], behind: Sequence[float], rng: np.random.Generator
) -> float:
    """Share of methods beside the best of which it can be told whether they are as good."""
    words = ranked(Column(seeds, sd, behind), REPLICATES, rng)
    return float(np.isin(words[words != ""], [stats.BEST, stats.WORSE]).mean())


def said(seeds: int, steps: float, rng: np.random.Generator) -> dict[str, float]:
    """How often each word is said of the orders of six methods that are the same in both places.

    Args:
        seeds: of each method in each place.
        steps: between the logarithms of neighbours, in SDs of a seed.
    """
    logs = steps * np.arange(6)[:, None] + rng.normal(size=(ORDERS, 2, 6, seeds))
    words = [agreement(a.tolist(), b.tolist()).word for a, b in np.exp(logs)]
    return {word: words.count(word) / ORDERS for word in (STANDS, CANT_TELL, MOVES)}
