"""Verdicts on rows: by hand for one cell, by simulation for a grid."""

import math
import re

import numpy as np
import pytest
from scipy import stats as scipy_stats

from collapsebench import stats
from collapsebench.check import rows
from collapsebench.check.rows import CellSeeds, judge
from collapsebench.quantities import of

PERPLEXITY, MSE = of("perplexity"), of("mse")
OLD = [0.0100, 0.0101, 0.0099, 0.0100, 0.0102, 0.0098, 0.0100, 0.0101, 0.0099, 0.0100]
EDVAE = "EdVAE · digits · 32×8"


def times(factor, values=(0.0100, 0.0101, 0.0099)):
    return [factor * value for value in values]


def finding(new, old=OLD, quantity=MSE, sensitivity=0.05, diverged=(0, 0)):
    (found,) = judge([CellSeeds(EDVAE, quantity, new, old, diverged)], {quantity.name: sensitivity})
    return found


@pytest.mark.parametrize(
    ("new", "quantity", "verdict"),
    [
        pytest.param(times(1.0), MSE, "ok", id="the same"),
        pytest.param(times(1.2), MSE, "worse", id="a larger error"),
        pytest.param(times(0.5), MSE, "better", id="half the error"),
        pytest.param(times(0.8), PERPLEXITY, "worse", id="a smaller perplexity"),
        pytest.param(times(1.2), PERPLEXITY, "better", id="a larger perplexity"),
        pytest.param(times(1.028), MSE, "ok", id="significant, but within the margin"),
    ],
)
def test_one_cell(new, quantity, verdict):
    found = finding(new, quantity=quantity)
    assert found.verdict == verdict
    assert found.subject == f"{EDVAE} · {quantity.name}"
    assert found.values["change"] == pytest.approx(np.mean(new) / np.mean(OLD) - 1)


def test_ok_says_what_would_have_been_seen():
    found = finding(times(1.0))
    logs = [np.log(times(1.0)), np.log(OLD)]
    spread = stats.spreads_of(logs)
    error = math.sqrt(sum(spread.variance / spread.count))
    df = min(spread.df)
    change = math.log1p(found.values["detectable"]) / error
    assert scipy_stats.nct.sf(scipy_stats.t.isf(0.025, df), df, change) == pytest.approx(0.8)
    assert f"would have seen ≥ {rows.percent(found.values['detectable'])}" in found.text


def test_too_few_seeds_cannot_tell_and_say_how_many_would():
    new = times(1.0)[:2]
    found = finding(new, sensitivity=0.04)
    assert found.verdict == "can't tell"
    more = int(found.text.split(": ")[-1].split(" more seeds")[0])
    assert finding([OLD[i % 10] for i in range(2 + more)], sensitivity=0.04).verdict == "ok"


def test_a_baseline_that_is_too_small_says_so():
    found = finding([0.010, 0.012], [0.011, 0.009], sensitivity=0.001)
    assert found.text.endswith("freeze more seeds")


def test_the_words_beside_the_numbers():
    found = finding(times(1.2), diverged=(1, 0))
    assert re.fullmatch(
        r"0\.012 against 0\.01 \(\+20 %, 3 \(1 diverged\) against 10 seeds( \+ [\d.]+ df)?, "
        r"p < 0\.001\), beyond the margin of 3 %",
        found.text,
    )


@pytest.mark.parametrize(
    ("new", "old", "why"),
    [
        ([0.01], OLD, "one seed"),
        ([0.01], [0.02], "one seed"),
        (times(1.0), [0.01], "one seed"),
        ([0.0, 0.0, 0.0], OLD, "a value of 0 or below"),
        (times(1.0), [0.0, 0.0], "a value of 0 or below"),
        ([0.02, 0.02], [0.01, 0.01], "no spread"),
    ],
)
def test_what_cannot_be_tested_is_said_in_words(new, old, why):
    found = finding(new, old)
    assert found.verdict == "can't tell"
    assert found.text.endswith(f"; {why}: can't tell")
    assert found.values["p"] is None


def test_cells_that_cannot_be_tested_leave_the_others_as_they_are():
    cells = [CellSeeds("x", MSE, times(1.2), OLD), CellSeeds("y", MSE, [0.01], OLD)]
    both = {found.subject: found for found in judge(cells, {"mse": 0.05})}
    assert both["x · mse"].text == judge(cells[:1], {"mse": 0.05})[0].text
    assert both["y · mse"].verdict == "can't tell"


@pytest.mark.parametrize("larger", [True, False])
def test_shares_and_logarithms_are_inverse(larger):
    assert rows.share(rows.log_change(0.2, larger), larger) == pytest.approx(0.2)
    expected = -math.log(0.8) if larger else math.log(1.2)
    assert rows.log_change(0.2, larger) == pytest.approx(expected)
    assert math.isfinite(rows.share(1e4, larger))


REPLICATES = 60


def grids(change_in_sd, new_seeds=3, ratio=1.0):
    """Grids of two metrics in six cells, SDs spread from a half to two times 3 %, ten frozen seeds.

    The first cell's error is worse by ``change_in_sd`` of its own.
    """
    rng = np.random.default_rng(11)
    for _ in range(REPLICATES):
        cells = []
        for quantity in (PERPLEXITY, MSE):
            sd = 0.03 * np.exp(rng.uniform(math.log(0.5), math.log(2), (6, 1)))
            old = np.exp(rng.normal(size=(6, 10)) * sd)
            new = np.exp(rng.normal(size=(6, new_seeds)) * sd * ratio)
            if quantity is MSE:
                new[0] *= math.exp(change_in_sd * sd[0, 0])
            cells += [CellSeeds(str(i), quantity, new[i], old[i]) for i in range(6)]
        yield cells


def verdicts(grids, sensitivity):
    """(REPLICATES, 12) words, the changed cell's seventh."""
    return np.array([[f.verdict for f in judge(cells, sensitivity(cells))] for cells in grids])


def stated(cells):
    """What ``freeze`` would state of the frozen side."""
    found = {}
    for quantity in (PERPLEXITY, MSE):
        logs = [np.log(cell.old) for cell in cells if cell.quantity is quantity]
        seen = rows.HEADROOM * max(rows.detectable(logs, 0.05 / 24))
        found[quantity.name] = rows.share(seen, quantity.larger)
    return found


@pytest.mark.parametrize("ratio", [1.0, 2.0, 4.0])
def test_unchanged_grids_raise_few_alarms(ratio):
    words = verdicts(grids(0.0, ratio=ratio), lambda cells: {})
    assert np.isin(words, ["worse", "better"]).any(axis=1).mean() <= 0.1


def test_most_unchanged_cells_are_ok():
    assert (verdicts(grids(0.0), stated) == "ok").mean() >= 0.85


@pytest.mark.parametrize(("new_seeds", "change", "power"), [(3, 8, 0.95), (5, 4, 0.9)])
def test_what_a_check_sees(new_seeds, change, power):
    words = verdicts(grids(change, new_seeds), lambda cells: {})
    assert (words[:, 6] == "worse").mean() == pytest.approx(power, abs=0.07)
