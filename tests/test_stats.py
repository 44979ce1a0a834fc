"""Statistics against scipy, worked examples and simulation."""

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from collapsebench import stats

A, B = [5.1, 4.9, 5.6, 5.8], [4.2, 4.4, 4.1]


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
    ours = stats.welch(A, B)
    theirs = scipy_stats.ttest_ind(A, B, equal_var=False)
    assert ours.p_different() == pytest.approx(theirs.pvalue)
    assert ours.df == pytest.approx(theirs.df)
    assert ours.interval(0.9) == pytest.approx(tuple(theirs.confidence_interval(0.9)))
    one_sided = scipy_stats.ttest_ind(A, B, equal_var=False, alternative="greater")
    assert ours.p_greater() == pytest.approx(one_sided.pvalue)


def test_margin_shifts_the_null_hypothesis():
    shifted = [value - 0.5 for value in A]
    assert stats.welch(A, B).p_greater(0.5) == pytest.approx(stats.welch(shifted, B).p_greater())
    assert stats.welch(B, A).p_less(-0.5) == pytest.approx(stats.welch(A, B).p_greater(0.5))


def test_tost_is_the_larger_of_two_one_sided_tests():
    b = [4.9, 5.2, 5.0]
    up = scipy_stats.ttest_ind([v + 1 for v in A], b, equal_var=False, alternative="greater").pvalue
    down = scipy_stats.ttest_ind([v - 1 for v in A], b, equal_var=False, alternative="less").pvalue
    assert stats.welch(A, b).p_equivalent(1.0) == pytest.approx(max(up, down))


def test_without_spread_the_difference_is_known():
    known = stats.welch([3.0, 3.0], [1.0, 1.0])
    assert known.p_greater() == 0
    assert known.p_greater(2.0) == 1
    assert known.p_different() == 0
    assert known.p_equivalent(2.5) == 0
    assert stats.welch([3.0, 3.0], [3.0, 3.0]).p_different() == 1


def test_holm_by_hand():
    # sorted .01 .03 .04 -> x3 x2 x1 = .03 .06 .04, made monotone .03 .06 .06
    assert stats.holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert stats.holm([[0.9, 0.5]]) == pytest.approx(np.array([[1.0, 1.0]]))


def test_inverse_trigamma_at_known_values():
    # trigamma(1) = pi^2/6, trigamma(1/2) = pi^2/2
    x = np.array([math.pi**2 / 6, math.pi**2 / 2])
    assert stats._inverse_trigamma(x) == pytest.approx([1.0, 0.5])


def test_variance_prior_recovers_what_made_the_variances():
    rng = np.random.default_rng(0)
    d0, s0_squared, df = 8.0, 2.5, 4
    true = d0 * s0_squared / rng.chisquare(d0, 200_000)
    sample = true * rng.chisquare(df, 200_000) / df
    assert stats.variance_prior(sample, df) == pytest.approx((s0_squared, d0), rel=0.03)


def test_equal_variances_shrink_completely():
    s0_squared, d0 = stats.variance_prior([2.0, 2.0, 2.0], 4)
    assert d0 == np.inf
    difference = stats.moderated_from_stats([0.0] * 3, [2.0] * 3, 3, 3)
    assert difference.standard_error == pytest.approx(math.sqrt(s0_squared * 2 / 3))
    assert difference.df == pytest.approx([12.0] * 3)  # no more than all cells have


def test_moderated_t_by_smyths_formulas():
    cells = [
        ([1.0, 2.0, 3.0], [2.0, 4.0]),
        ([1.0, 1.1, 0.9], [5.0, 5.1]),
        ([0.0, 9.0, 4.0], [1.0, 7.0]),
    ]
    variances = np.array([(2 + 2) / 3, (0.02 + 0.005) / 3, (122 / 3 + 18) / 3])
    s0_squared, d0 = stats.variance_prior(variances, 3)
    assert 0 < d0 < np.inf
    difference = stats.moderated(cells)
    assert difference.estimate == pytest.approx([-1, -4.05, 1 / 3])
    expected = (d0 * s0_squared + 3 * variances) / (d0 + 3) * (1 / 3 + 1 / 2)
    assert difference.standard_error == pytest.approx(np.sqrt(expected))
    assert difference.df == pytest.approx([min(d0 + 3, 9)] * 3)


def test_one_cell_gives_the_ordinary_t_test():
    difference = stats.moderated([(A, B)])
    assert difference.p_different() == pytest.approx(scipy_stats.ttest_ind(A, B).pvalue)


def test_changes_are_of_geometric_means_and_leave_out_what_has_no_test():
    cells = [
        ([20.0, 24.0, 22.0], [11.0, 9.0, 14.0]),
        ([1.0], [2.0]),
        ([0.2, 0.3, 0.25], [0.3, 0.2, 0.4]),
        ([0.0, 1.0], [1.0, 2.0]),
    ]
    first, alone, second, zero = stats.changes(cells)
    assert (alone, zero) == (None, None)
    assert first.change == pytest.approx((20 * 24 * 22 / (11 * 9 * 14)) ** (1 / 3) - 1)
    difference = stats.moderated([(np.log(a), np.log(b)) for a, b in cells[::2]])
    assert [first.p, second.p] == pytest.approx(stats.holm(difference.p_different()))
    assert np.log1p([first.low, second.low]) == pytest.approx(difference.interval()[0])
    assert first.low < first.change < first.high
    assert stats.changes([]) == []


def test_cells_without_spread_do_not_stop_the_others():
    cells = [([1.0, 1.0], [1.0, 1.0]), (A, B), ([3.0, 4.0], [3.2, 3.9])]
    assert np.isfinite(stats.moderated(cells).p_different()).all()
    same = stats.moderated([([1.0, 1.0], [1.0, 1.0]), ([2.0, 2.0], [3.0, 3.0])])
    assert same.p_different() == pytest.approx([1, 0])


@pytest.mark.parametrize("df", [2, 7, 40])
def test_smallest_detectable_change_has_the_stated_power(df):
    change = stats.smallest_detectable_change(2.0, df, alpha=0.05)
    seen = scipy_stats.nct.sf(scipy_stats.t.isf(0.05, df), df, change / 2)
    assert seen == pytest.approx(0.8, abs=1e-6)


def test_smallest_detectable_change_of_a_known_variance():
    # z(.95) + z(.8) = 1.644854 + 0.841621
    assert stats.smallest_detectable_change(1.0, np.inf) == pytest.approx(2.486475, abs=1e-6)


def test_seeds_needed_is_the_first_number_that_suffices():
    n = stats.seeds_needed(sd=1.0, change=1.5, n_baseline=10)
    assert n is not None

    def detectable(n: int) -> float:
        return stats.smallest_detectable_change(math.sqrt(1 / n + 1 / 10), n + 8)

    assert detectable(n) <= 1.5 < detectable(n - 1)
    assert (
        stats.seeds_needed(sd=1.0, change=0.5, n_baseline=10) is None
    )  # the baseline is too small


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        pytest.param([412.0, 413.0, 411.0], "reproduced", id="close and precise"),
        pytest.param([380.0, 445.0, 412.0], "inconclusive", id="close but spread"),
        pytest.param([300.0, 302.0, 305.0], "differs", id="far"),
        pytest.param([412.0], "inconclusive", id="one seed"),
    ],
)
def test_verdict_against_the_paper(values, verdict):
    assert stats.verdict_against_paper(values, 412.67, 2.05, 3) == verdict


def test_verdict_needs_no_spread_on_either_side():
    assert stats.verdict_against_paper([512.0, 512.0], 512.0, 0.0, 3) == "reproduced"
    assert stats.verdict_against_paper([400.0, 400.0], 512.0, 0.0, 3) == "differs"


def test_best_group_holds_what_is_not_significantly_worse():
    cells = {
        "best": [400.0, 402.0, 401.0],
        "near": [399.0, 401.0, 402.0],
        "far": [300.0, 303.0, 299.0],
        "one seed": [10.0],
    }
    assert stats.best_group(cells, larger_is_better=True) == {"best", "near", "one seed"}
    assert stats.best_group(cells, larger_is_better=False) == {"one seed", "best", "near", "far"}
    del cells["one seed"]
    assert stats.best_group(cells, larger_is_better=False) == {"far"}
    assert stats.best_group({}, larger_is_better=True) == set()
    assert stats.best_group({"only": [1.0, 2.0]}, larger_is_better=True) == {"only"}


def test_best_group_without_spread_or_with_values_that_have_no_logarithm():
    known = {"a": [3.0, 3.0], "same": [3.0, 3.0], "less": [2.0, 2.0]}
    assert stats.best_group(known, larger_is_better=True) == {"a", "same"}
    signed = {"a": [0.0, 1.0, -1.0], "near": [0.5, -0.5, -1.5], "far": [-90.0, -91.0, -89.0]}
    assert stats.best_group(signed, larger_is_better=True) == {"a", "near"}


@pytest.mark.parametrize("seeds", [3, 10])
def test_best_group_seldom_loses_one_of_six_equal_methods(seeds):
    def best(table):
        return stats.best_group(dict(zip("abcdef", table, strict=True)), True)

    rng = np.random.default_rng(0)
    logs = 0.2 * rng.standard_normal((1000, 6, seeds))
    assert np.mean([len(best(np.exp(table))) < 6 for table in logs]) < 0.045
    spreads = np.exp(rng.uniform(math.log(0.5), math.log(2), (1000, 6, 1)))
    assert np.mean([len(best(np.exp(table))) < 6 for table in logs * spreads]) < 0.065
    logs[:, 1:] -= 0.2 * 6  # one method six SDs better
    assert np.mean([best(np.exp(table)) == {"a"} for table in logs]) > 0.85


def flagged(n_baseline: int, change_in_sd: float, moderate: bool) -> np.ndarray:
    """18 cells, SDs spread from a half to two, 3 new seeds, the first cell changed; (4000, 18)."""
    rng = np.random.default_rng(7)
    sd = np.exp(rng.uniform(math.log(0.5), math.log(2), (4000, 18)))[..., None]
    old, new = (rng.normal(size=(4000, 18, n)) * sd for n in (n_baseline, 3))
    new[:, 0] += change_in_sd * sd[:, 0]
    estimate = new.mean(-1) - old.mean(-1)
    if moderate:
        pooled = (old.var(-1) * n_baseline + new.var(-1) * 3) / (n_baseline + 1)
        difference = stats.moderated_from_stats(estimate, pooled, 3, n_baseline)
        return stats.holm(difference.p_different()) < 0.05
    p = scipy_stats.ttest_ind(new, old, axis=-1, equal_var=False).pvalue
    return stats.holm(p) < 0.05


@pytest.mark.parametrize(
    ("n_baseline", "moderate", "false_alarms", "power_at_3_sd"),
    [
        pytest.param(10, True, 0.06, 0.81, id="moderated, 10 baseline seeds"),
        pytest.param(3, True, 0.08, 0.43, id="moderated, 3 baseline seeds"),
        pytest.param(10, False, 0.14, 0.39, id="Welch, 10 baseline seeds"),
    ],
)
def test_false_alarms_and_power_of_a_gate(n_baseline, moderate, false_alarms, power_at_3_sd):
    """The design's table: shrinking variances is what makes three new seeds enough."""
    alarms = flagged(n_baseline, 0.0, moderate).any(axis=1).mean()
    seen = flagged(n_baseline, 3.0, moderate)[:, 0].mean()
    assert alarms == pytest.approx(false_alarms, abs=0.02)
    assert seen == pytest.approx(power_at_3_sd, abs=0.04)
