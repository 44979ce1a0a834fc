"""Spreads that inform each other: by formula, by hand, and how often tests on them are wrong."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import special
from scipy import stats as scipy_stats

from collapsebench import stats
from collapsebench.stats import variances
from tests.stats import error_rates
from tests.stats.error_rates import OURS, TESTS, Setting, draw, false_alarms


def test_inverse_trigamma_at_known_values():
    # trigamma(1) = pi^2/6, trigamma(1/2) = pi^2/2
    x = np.array([math.pi**2 / 6, math.pi**2 / 2])
    assert variances._inverse_trigamma(x) == pytest.approx([1.0, 0.5])


def test_many_groups_tell_what_made_their_variances():
    rng = np.random.default_rng(0)
    d0, s0_squared, df = 8.0, 2.5, 4
    true = d0 * s0_squared / rng.chisquare(d0, 1_000_000)
    sample = true * rng.chisquare(df, 1_000_000) / df
    found = stats.variance_prior(sample, df)
    assert np.ravel(found) == pytest.approx((s0_squared, d0), rel=0.02)


@pytest.mark.parametrize(("groups", "df"), [(4, 9), (12, 4), (12, 2)])
def test_variances_seldom_differ_more_than_is_reckoned_with(groups, df):
    rng = np.random.default_rng(1)
    true = 4 / rng.chisquare(4, (4000, groups))
    d0 = stats.variance_prior(true * rng.chisquare(df, true.shape) / df, df)[1]
    assert variances.CAUTION - 0.02 < np.mean(d0 <= 4) < 0.98


def test_the_prior_by_its_formula():
    sample, df = np.array([1.0, 4.0, 0.25, 9.0]), np.array([2, 2, 9, 9])
    e = np.log(sample) - special.digamma(df / 2) + np.log(df / 2)
    chance = special.polygamma(1, df / 2)
    kurtosis = special.polygamma(3, df / 2).mean() / (chance**2).mean()
    nu = 2 / (2 / 3 + kurtosis / 4)
    bound = e.var(ddof=1) * nu / scipy_stats.chi2.ppf(0.1, nu)
    s0_squared, d0 = np.ravel(stats.variance_prior(sample, df))
    assert special.polygamma(1, d0 / 2) == pytest.approx(bound - chance.mean())
    assert s0_squared == pytest.approx(
        math.exp(e.mean() + special.digamma(d0 / 2) - math.log(d0 / 2))
    )


def test_spreads_by_smyths_formula_and_never_smaller_than_seen():
    own, counts = np.array([0.2, 1.5, 1.0, 1.2, 0.8, 1.1]), np.array([3, 3, 5, 5, 10, 10])
    s0_squared, d0 = np.ravel(stats.variance_prior(own, counts - 1))
    spread = stats.spreads(own, counts)
    shrunk = (d0 * s0_squared + (counts - 1) * own) / (d0 + counts - 1)
    assert spread.variance == pytest.approx(np.maximum(own, shrunk))
    assert spread.variance[0] > 0.2  # it did borrow
    assert spread.borrowed == pytest.approx(np.full(6, d0))


def test_equal_variances_lend_all_that_they_have_and_no_more():
    spread = stats.spreads([2.0] * 30, 4)
    assert spread.df == pytest.approx(np.full(30, 90.0))
    assert spread.borrowed == pytest.approx(np.full(30, 87.0))


def test_a_group_alone_and_groups_without_spread_lend_nothing():
    assert stats.spreads([2.0], [3]).borrowed == 0
    spread = stats.spreads([2.0, 0.0, 0.0], [3, 3, 3])
    assert list(spread.borrowed) == [0, 0, 0]
    assert list(spread.variance) == [2, 0, 0]
    others = stats.spreads([2.0, 1.0, 0.0, 1.5], [3, 3, 3, 3])
    alone = stats.spreads([2.0, 1.0, 1.5], [3, 3, 3])
    assert others.variance[[0, 1, 3]] == pytest.approx(alone.variance)
    assert others.variance[2] > 0  # borrowed


def test_values_equal_to_rounding_have_no_spread():
    spread = stats.spreads_of([[0.1 + 0.2, 0.3, 0.3], [1.0, 2.0]])
    assert spread.variance[0] == 0


def test_a_difference_is_on_the_smaller_degrees_of_freedom():
    a, b = stats.Spread(3, 4.0, 0.5), stats.Spread(10, 1.0)
    found = stats.difference(2.0, a, b)
    assert found.df == 2.5
    assert found.standard_error == pytest.approx(math.sqrt(4 / 3 + 1 / 10))


def test_seeds_needed_is_the_first_number_that_suffices():
    a, b = stats.Spread(2, 1.0), stats.Spread(10, 1.0)
    n = stats.seeds_needed(a, b, change=1.5)
    assert n is not None

    def detectable(n):
        return stats.difference(0.0, replace(a, count=n), b).detectable()

    assert detectable(n) <= 1.5 < detectable(n - 1)
    assert stats.seeds_needed(a, b, change=0.5) is None  # b is too small


@pytest.mark.parametrize("ratio", [1, 2, 4])
@pytest.mark.parametrize("seeds", [(3, 3), (3, 10), (2, 10), (10, 10)])
def test_equal_groups_are_seldom_called_different(seeds, ratio):
    """At a nominal 5 % over all cells; the whole table is that of ``python -m tests.stats``."""
    rng = np.random.default_rng(2)
    for cells in (1, 6, 18):
        drawn = draw(Setting(seeds, ratio, cells=cells), 1500, rng)
        assert false_alarms(TESTS[OURS], drawn) <= 0.07


@pytest.mark.parametrize(
    ("seeds", "ratio", "cells", "rate"),
    [((3, 10), 2, 6, 0.33), ((3, 10), 2, 18, 0.46), ((3, 10), 4, 6, 0.64), ((3, 10), 4, 18, 0.86)],
)
def test_a_pooled_variance_would_be_wrong_as_often_as_this(seeds, ratio, cells, rate):
    drawn = draw(Setting(seeds, ratio, cells=cells), 1500, np.random.default_rng(3))
    assert false_alarms(TESTS["pooled, moderated"], drawn) == pytest.approx(rate, abs=0.05)


@pytest.mark.parametrize(
    ("seeds", "change", "power"), [((3, 3), 8, 0.95), ((3, 10), 4, 0.68), ((5, 10), 4, 0.98)]
)
def test_what_is_borrowed_lets_few_seeds_see_much(seeds, change, power):
    """Of six cells; without borrowing three against ten see 12 % of changes of 4 SDs."""
    setting, rng = Setting(seeds, change=change), np.random.default_rng(4)
    assert error_rates.seen(TESTS[OURS], setting, rng) == pytest.approx(power, abs=0.03)


@pytest.mark.slow
def test_every_row_of_the_table_of_false_alarms_is_below_7_percent():
    from tests.stats.__main__ import RATIOS, SEEDS

    rng = np.random.default_rng(0)
    for seeds in SEEDS:
        for ratio in RATIOS:
            assert error_rates.worst(seeds, ratio, rng)[OURS] <= 0.07
