"""What tests say in words: better, worse, the same, the best, or that it can't be told."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from collapsebench.stats.differences import (
    ALPHA,
    Difference,
    from_population_sd,
    holm,
    welch_from_stats,
)
from collapsebench.stats.variances import Spread, Values, difference, spreads_of

MARGIN = 0.05  # share of a mean within which two results count as the same

BEST, BETTER, SAME, WORSE, CANT_TELL = "best", "better", "same", "worse", "can't tell"

NO_VALUE = "no finite value"
NO_LOGARITHM = "a value of 0 or below"
ONE_SEED = "one seed"
NO_SPREAD = "no spread"

Pair = tuple[Values, Values]
Name = TypeVar("Name")


@dataclass(frozen=True)
class Change:
    """From b's geometric mean to a's, and what a test of the logarithms says of it.

    Attributes:
        change: as a share of b's; None where a side has no value or one without a logarithm.
        why: why nothing was tested, "" if something was.
        difference: of the logarithms.
        spreads: of the logarithms of a and of b.
        p: two-sided, of "there is no change", adjusted by Holm.
        p_same: of "it is ``MARGIN`` or more", adjusted by Holm.
    """

    change: float | None = None
    why: str = ""
    difference: Difference | None = None
    spreads: tuple[Spread, Spread] | None = None
    p: float | None = None
    p_same: float | None = None

    @property
    def borrowed(self) -> float:
        """Degrees of freedom that other cells lent to the group that was lent less."""
        return float(min(spread.borrowed for spread in self.spreads)) if self.spreads else 0.0

    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the change, None where nothing was tested."""
        if self.difference is None:
            return None
        low, high = self.difference.interval()
        return float(np.expm1(low)), float(np.expm1(high))

    def word(self, larger_is_better: bool) -> str:
        """What is said of a: ``BETTER``, ``WORSE``, ``SAME`` or ``CANT_TELL``."""
        if self.p is None or self.p_same is None or self.change is None:
            return CANT_TELL
        if self.p < ALPHA:
            return BETTER if (self.change > 0) == larger_is_better else WORSE
        return SAME if self.p_same < ALPHA else CANT_TELL


def changes(*families: Sequence[Pair]) -> list[list[Change]]:
    """The change from b to a in each cell (a, b).

    Args:
        families: cells whose spreads inform each other, those of one metric. A group that stands in
            several cells informs the others once. Holm's adjustment is over the cells of all
            families: the chance that any of them is wrongly called better or worse is ``ALPHA``.
    """
    found = [_changes(pairs) for pairs in families]
    tests = [change.difference for family in found for change in family if change.difference]
    different = iter(holm([test.p_different() for test in tests]))
    same = iter(holm([test.p_equivalent(math.log1p(MARGIN)) for test in tests]))
    return [
        [
            replace(c, p=float(next(different)), p_same=float(next(same))) if c.difference else c
            for c in family
        ]
        for family in found
    ]


def _changes(pairs: Sequence[Pair]) -> list[Change]:
    """The changes of one family, without their p."""
    whys = [why_untested(*pair) for pair in pairs]
    tested = [group for pair, why in zip(pairs, whys, strict=True) if not why for group in pair]
    place = {group: i for i, group in enumerate(dict.fromkeys(map(tuple, tested)))}
    spread = spreads_of([np.log(group) for group in place])
    return [
        Change(_change(a, b), why) if why
        else _tested(a, b, spread.at(place[tuple(a)]), spread.at(place[tuple(b)]))
        for (a, b), why in zip(pairs, whys, strict=True)
    ]  # fmt: skip


def why_untested(a: Values, b: Values) -> str:
    """Why the change from b to a cannot be tested, "" if it can."""
    if not (len(a) and len(b) and np.all(np.isfinite([*a, *b]))):
        return NO_VALUE
    if min(*a, *b) <= 0:
        return NO_LOGARITHM
    return ONE_SEED if min(len(a), len(b)) < 2 else ""


def _change(a: Values, b: Values) -> float | None:
    if why_untested(a, b) in (NO_VALUE, NO_LOGARITHM):
        return None
    return math.expm1(np.mean(np.log(a)) - np.mean(np.log(b)))


def _tested(a: Values, b: Values, spread_a: Spread, spread_b: Spread) -> Change:
    test = difference(np.mean(np.log(a)) - np.mean(np.log(b)), spread_a, spread_b)
    if test.standard_error == 0:
        return Change(_change(a, b), NO_SPREAD)
    return Change(_change(a, b), "", test, (spread_a, spread_b))


@dataclass(frozen=True)
class Rank:
    """Where a cell stands among others.

    Attributes:
        word: ``BEST``, ``WORSE`` or ``CANT_TELL``.
        borrowed: degrees of freedom that the others' spreads lent to its own.
    """

    word: str
    borrowed: float = 0.0


def standings(cells: Mapping[Name, Values], larger_is_better: bool) -> dict[Name, Rank]:
    """Which cells are the best, which are worse, and of which neither can be told.

    Best is the best mean, and what TOST, adjusted by Holm, shows to be within ``MARGIN`` of it;
    worse is what is shown to be so, and not within the margin. Which cell has the best mean is only
    known from the same values, so each comparison with it counts as one of all pairs (Bonferroni).
    Tests are of logarithms where all values are positive.

    A cell without two finite values can't be told; if its one value is better than all means,
    neither can which cell is the best. Cells without any spread are the best if they equal it.
    """
    known = {name: v for name, v in cells.items() if len(v) and np.all(np.isfinite(v))}
    sign = 1 if larger_is_better else -1
    mean = {name: sign * float(np.mean(values)) for name, values in known.items()}
    several = [name for name, values in known.items() if len(values) > 1]
    found = dict.fromkeys(cells, Rank(CANT_TELL))
    if not several:
        return found
    best = max(several, key=mean.__getitem__)
    groups = [known[name] for name in several]
    same, worse, borrowed = _behind(groups, several.index(best), sign)
    hidden = max(mean.values()) > mean[best]  # a single seed is better
    for j, name in enumerate(several):
        if same[j] or mean[name] == mean[best]:
            word = CANT_TELL if hidden else BEST
        else:
            word = WORSE if worse[j] else CANT_TELL
        found[name] = Rank(word, float(borrowed[j]))
    return found


def _behind(
    groups: Sequence[Values], best: int, sign: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which groups are as good as the best one, which are worse, and what each has borrowed."""
    logs = min(min(group) for group in groups) > 0
    scaled = [np.log(group) if logs else np.asarray(group) for group in groups]
    mean, spread = sign * np.array([np.mean(group) for group in scaled]), spreads_of(scaled)
    behind = difference(mean[best] - mean, spread.at(best), spread)
    margin = math.log1p(MARGIN) if logs else MARGIN * abs(mean[best])
    others, tested = np.arange(len(groups)) != best, behind.standard_error > 0
    same = np.zeros(len(groups), bool)
    same[others] = holm(behind.p_equivalent(margin)[others]) < ALPHA
    pairs = math.comb(len(groups), 2)
    worse = 2 * pairs * behind.p_greater() < ALPHA
    return same & tested, worse & tested, np.broadcast_to(spread.borrowed, len(groups))


def verdict_against_paper(
    values: Sequence[float], paper_mean: float, paper_sd: float, paper_n: int
) -> str:
    """One of "reproduced", "differs" and "inconclusive".

    Reproduced: equivalent within ``MARGIN`` times the published mean, by TOST. Differs: not so,
    and different by Welch's test. A single value is inconclusive. ``paper_sd`` is as printed,
    a population SD (ddof 0).
    """
    if len(values) < 2 or paper_n < 2:
        return "inconclusive"
    sd = from_population_sd(paper_sd, paper_n)
    ours = float(np.mean(values)), float(np.std(values, ddof=1)), len(values)
    apart = welch_from_stats(*ours, paper_mean, sd, paper_n)
    if apart.p_equivalent(MARGIN * abs(paper_mean)) < ALPHA:
        return "reproduced"
    return "differs" if apart.p_different() < ALPHA else "inconclusive"
