"""Verdicts on rows: by hand for one cell, by simulation for a grid."""

import math

import numpy as np
import pytest
from scipy import stats

from collapsebench.check import rows
from collapsebench.check.rows import Cell, Quantity, judge

MSE = Quantity("mse", "test", larger=False, margin=0.03)
PERPLEXITY = Quantity("perplexity", "test", larger=True, margin=0.03)
OLD = [0.0100, 0.0101, 0.0099, 0.0100, 0.0102, 0.0098, 0.0100, 0.0101, 0.0099, 0.0100]


def times(factor, values=(0.0100, 0.0101, 0.0099)):
    return [factor * value for value in values]


@pytest.mark.parametrize(
    ("new", "quantity", "verdict"),
    [
        pytest.param(times(1.0), MSE, "ok", id="the same"),
        pytest.param(times(1.2), MSE, "worse", id="a larger error"),
        pytest.param(times(0.8), MSE, "ok", id="a smaller error"),
        pytest.param(times(0.8), PERPLEXITY, "worse", id="a smaller perplexity"),
        pytest.param(times(1.2), PERPLEXITY, "ok", id="a larger perplexity"),
        pytest.param(times(1.025), MSE, "ok", id="significant, but within the margin"),
    ],
)
def test_one_cell(new, quantity, verdict):
    (finding,) = judge([Cell("EdVAE · digits · 32×8", new, OLD)], quantity, sensitivity=0.05)
    assert finding.verdict == verdict
    assert finding.subject == f"EdVAE · digits · 32×8 · {quantity.metric}"
    assert finding.values["change"] == pytest.approx(np.mean(new) / np.mean(OLD) - 1)


def test_ok_says_what_would_have_been_seen():
    (finding,) = judge([Cell("x", times(1.0), OLD)], MSE, sensitivity=0.05)
    # one cell: the ordinary t-test on 11 degrees of freedom
    logs = [np.log(times(1.0)), np.log(OLD)]
    error = math.sqrt(sum(np.var(x) * len(x) for x in logs) / 11 * (1 / 3 + 1 / 10))
    change = math.log1p(finding.values["detectable"]) / error
    assert stats.nct.sf(stats.t.isf(0.05, 11), 11, change) == pytest.approx(0.8, abs=1e-4)
    assert f"would have seen ≥ {rows.percent(finding.values['detectable'])}" in finding.text


def test_too_few_seeds_cannot_tell_and_say_how_many_would():
    (finding,) = judge([Cell("x", [0.0100], OLD)], MSE, sensitivity=0.025)
    assert finding.verdict == "can't tell"
    more = int(finding.text.split(": ")[1].split(" more seeds")[0])
    enough = [OLD[i % 10] for i in range(1 + more)]
    (finding,) = judge([Cell("x", enough, OLD)], MSE, sensitivity=0.03)
    assert finding.verdict == "ok"


def test_a_baseline_that_is_too_small_says_so():
    (finding,) = judge([Cell("x", [0.010, 0.012], [0.011, 0.009])], MSE, sensitivity=0.001)
    assert finding.text.endswith("freeze more seeds")


@pytest.mark.parametrize("larger", [True, False])
def test_shares_and_logarithms_are_inverse(larger):
    assert rows.share(rows.log_change(0.2, larger), larger) == pytest.approx(0.2)
    expected = -math.log(0.8) if larger else math.log(1.2)
    assert rows.log_change(0.2, larger) == pytest.approx(expected)


CELLS, REPLICATES = 18, 100


def grids(change_in_sd):
    """The design's simulation: 18 cells, SDs spread from a half to two times 3 %, 3 against 10.

    Yields the cells of each replicate, the first of them worse by ``change_in_sd``.
    """
    rng = np.random.default_rng(11)
    for _ in range(REPLICATES):
        sd = 0.03 * np.exp(rng.uniform(math.log(0.5), math.log(2), CELLS))
        old, new = (np.exp(rng.normal(size=(CELLS, n)) * sd[:, None]) for n in (10, 3))
        new[0] *= math.exp(change_in_sd * sd[0])
        yield [Cell(str(i), new[i], old[i]) for i in range(CELLS)]


def verdicts(grids, sensitivity):
    """(REPLICATES, CELLS) words; without a margin, as in the design's table."""
    quantity = Quantity("mse", "test", larger=False, margin=0.0)
    return np.array(
        [[f.verdict for f in judge(cells, quantity, sensitivity(cells))] for cells in grids]
    )


def stated(cells):
    """What ``freeze`` would state of the frozen side."""
    seen = max(rows.detectable([rows.logs(cell.old) for cell in cells]))
    return math.expm1(rows.HEADROOM * seen)


def test_unchanged_grids_raise_few_alarms_and_most_cells_are_ok():
    """The design's table: 6 % of unchanged grids raise an alarm, two-sided; here one side does."""
    words = verdicts(grids(0.0), stated)
    assert (words == "worse").any(axis=1).mean() <= 0.1
    assert (words == "ok").mean() >= 0.9


@pytest.mark.parametrize(("change", "power"), [(2, 0.36), (3, 0.81), (4, 0.98)])
def test_power_is_that_of_the_designs_table_or_more(change, power):
    seen = (verdicts(grids(change), lambda cells: 1.0)[:, 0] == "worse").mean()
    error = 2 * math.sqrt(power * (1 - power) / REPLICATES)
    assert power - error <= seen <= min(1.0, power + 0.2)  # one-sided tests see a little more
