"""Differences against scipy and worked examples."""

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from collapsebench import stats

A, B = [5.1, 4.9, 5.6, 5.8], [4.2, 4.4, 4.1]


def welch(a, b):
    (mean_a, sd_a), (mean_b, sd_b) = ((np.mean(v), np.std(v, ddof=1)) for v in (a, b))
    return stats.welch_from_stats(mean_a, sd_a, len(a), mean_b, sd_b, len(b))


def test_interval_of_a_mean_is_the_textbook_one():
    # mean 2, sd 1, n 3: half width 4.302653 / sqrt(3)
    low, high = stats.mean_interval([1.0, 2.0, 3.0])
    assert (low, high) == pytest.approx((2 - 2.484138, 2 + 2.484138), abs=1e-6)


def test_interval_of_one_value_is_unknown():
    assert all(math.isnan(end) for end in stats.mean_interval([3.0]))


def test_population_sd_of_three_values_grows_by_the_root_of_one_and_a_half():
    values = [410.0, 412.0, 416.0]
    assert stats.from_population_sd(float(np.std(values)), 3) == pytest.approx(
        float(np.std(values, ddof=1))
    )
    assert stats.from_population_sd(2.0, 3) == pytest.approx(2 * math.sqrt(1.5))


def test_welch_equals_scipy():
    ours = welch(A, B)
    theirs = scipy_stats.ttest_ind(A, B, equal_var=False)
    assert ours.p_different() == pytest.approx(theirs.pvalue)
    assert ours.df == pytest.approx(theirs.df)
    assert ours.interval(0.9) == pytest.approx(tuple(theirs.confidence_interval(0.9)))
    one_sided = scipy_stats.ttest_ind(A, B, equal_var=False, alternative="greater")
    assert ours.p_greater() == pytest.approx(one_sided.pvalue)


def test_margin_shifts_the_null_hypothesis():
    shifted = [value - 0.5 for value in A]
    assert welch(A, B).p_greater(0.5) == pytest.approx(welch(shifted, B).p_greater())
    assert welch(B, A).p_less(-0.5) == pytest.approx(welch(A, B).p_greater(0.5))


def test_tost_is_the_larger_of_two_one_sided_tests():
    b = [4.9, 5.2, 5.0]
    up = scipy_stats.ttest_ind([v + 1 for v in A], b, equal_var=False, alternative="greater").pvalue
    down = scipy_stats.ttest_ind([v - 1 for v in A], b, equal_var=False, alternative="less").pvalue
    assert welch(A, b).p_equivalent(1.0) == pytest.approx(max(up, down))


def test_without_spread_the_difference_is_known():
    known = welch([3.0, 3.0], [1.0, 1.0])
    assert known.p_greater() == stats.LEAST_P
    assert known.p_greater(2.0) == 1
    assert known.p_different() == 2 * stats.LEAST_P
    assert known.p_equivalent(2.5) == stats.LEAST_P
    assert welch([3.0, 3.0], [3.0, 3.0]).p_different() == 1


def test_no_p_is_0():
    far = stats.Difference(1e6, 1e-6, 500.0)
    assert far.p_greater() == stats.LEAST_P
    assert stats.p_text(far.p_different()) == "< 0.001"
    assert [stats.p_text(p) for p in (0.0004, 0.001, 0.0342, 1.0)] == [
        "< 0.001", "0.001", "0.034", "1.000",
    ]  # fmt: skip


def test_holm_by_hand():
    # sorted .01 .03 .04 -> x3 x2 x1 = .03 .06 .04, made monotone .03 .06 .06
    assert stats.holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert stats.holm([[0.9, 0.5]]) == pytest.approx(np.array([[1.0, 1.0]]))
    assert len(stats.holm([])) == 0


@pytest.mark.parametrize("df", [2, 7, 40])
def test_the_detectable_change_has_the_stated_power(df):
    change = stats.Difference(0.0, 2.0, df).detectable(alpha=0.05)
    power = scipy_stats.nct.sf(scipy_stats.t.isf(0.05, df), df, change / 2)
    assert power == pytest.approx(0.8, abs=1e-6)
    assert stats.Difference(0.0, 0.0, df).detectable() == 0
