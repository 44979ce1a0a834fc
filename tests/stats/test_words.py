"""What tests say in words: by hand, at the edges, and how often it is wrong."""

import math

import numpy as np
import pytest

from collapsebench import stats
from tests.stats.error_rates import ALIKE, UNLIKE, called_best, called_worse, told

A, B = [20.0, 24.0, 22.0], [11.0, 9.0, 14.0]


def change(a, b):
    ((found,),) = stats.changes([(a, b)])
    return found


def words(cells, larger=True):
    return {name: standing.word for name, standing in stats.standings(cells, larger).items()}


def test_a_change_is_of_geometric_means_on_its_own_test():
    (first, second), (third,) = stats.changes([(A, B), ([3.0, 4.0], [3.2, 3.9])], [(B, A)])
    assert first.change == pytest.approx((20 * 24 * 22 / (11 * 9 * 14)) ** (1 / 3) - 1)
    groups = stats.spreads_of([np.log(g) for g in (A, B, [3.0, 4.0], [3.2, 3.9])])
    test = stats.difference(math.log1p(first.change), groups.at(0), groups.at(1))
    assert first.difference.standard_error == pytest.approx(test.standard_error)
    assert first.interval() == pytest.approx(np.expm1(test.interval()))
    raw = [c.difference.p_different() for c in (first, second, third)]
    assert [first.p, second.p, third.p] == pytest.approx(stats.holm(raw))  # one family of tests
    same = [c.difference.p_equivalent(math.log(1.05)) for c in (first, second, third)]
    assert [first.p_same, second.p_same, third.p_same] == pytest.approx(stats.holm(same))


def test_a_group_in_several_cells_informs_the_others_once():
    ((once, _),) = stats.changes([(A, B), (A, B)])
    assert once.borrowed == pytest.approx(change(A, B).borrowed)


@pytest.mark.parametrize(
    ("a", "b", "larger", "word"),
    [
        (A, B, True, stats.BETTER),
        (A, B, False, stats.WORSE),
        (B, A, True, stats.WORSE),
        ([10.0, 10.01, 9.99], [10.02, 10.0, 10.01], True, stats.SAME),
        ([10.0, 14.0, 7.0], [11.0, 9.0, 14.0], True, stats.CANT_TELL),
    ],
)
def test_the_word_of_a_change(a, b, larger, word):
    assert change(a, b).word(larger) == word


@pytest.mark.parametrize(
    ("a", "b", "why", "share"),
    [
        ([1.0], [2.0, 2.1, 1.9], "one seed", -0.4996),
        ([1.0], [2.0], "one seed", -0.5),
        ([0.0, 0.0], [1.0, 2.0], "a value of 0 or below", None),
        ([-1.0, 2.0], [1.0, 2.0], "a value of 0 or below", None),
        ([math.nan, 2.0], [1.0, 2.0], "no finite value", None),
        ([math.inf, 2.0], [1.0, 2.0], "no finite value", None),
        ([], [1.0, 2.0], "no finite value", None),
        ([], [], "no finite value", None),
        ([1.0, 1.0], [4.0, 4.0, 4.0], "no spread", -0.75),
    ],
)
def test_what_cannot_be_tested_says_why_and_has_no_p(a, b, why, share):
    found = change(a, b)
    assert (found.why, found.p, found.interval()) == (why, None, None)
    assert found.word(True) == found.word(False) == stats.CANT_TELL
    assert found.change == (share if share is None else pytest.approx(share, abs=1e-4))


def test_what_cannot_be_tested_counts_for_nothing():
    ((tested, alone, zero, none),) = stats.changes(
        [(A, B), ([1.0], [2.0]), ([0.0], [1.0]), ([], B)]
    )
    assert [c.why for c in (alone, zero, none)] == [
        "one seed", "a value of 0 or below", "no finite value",
    ]  # fmt: skip
    assert tested.p == pytest.approx(change(A, B).p)
    assert stats.changes() == []
    assert stats.changes([]) == [[]]


def test_a_group_without_spread_stands_against_one_with():
    found = change([1.0, 1.0, 1.0], [400.0, 402.0, 401.0])
    assert found.word(True) == stats.WORSE
    assert found.difference.df == 2
    assert found.p >= stats.LEAST_P


def test_best_is_what_is_shown_to_be_and_worse_likewise():
    cells = {
        "best": [400.0, 402.0, 401.0],
        "near": [399.0, 401.0, 400.0],
        "wide": [340.0, 430.0, 385.0],
        "far": [300.0, 303.0, 299.0],
        "one seed": [401.0],
    }
    assert words(cells) == {
        "best": "best", "near": "best", "wide": "can't tell", "far": "worse",
        "one seed": "can't tell",
    }  # fmt: skip
    assert words(cells, larger=False) == {
        "best": "worse", "near": "worse", "wide": "can't tell", "far": "best",
        "one seed": "can't tell",
    }  # fmt: skip


def test_a_single_seed_that_is_better_than_all_leaves_no_best():
    cells = {"best": [400.0, 402.0, 401.0], "far": [300.0, 303.0, 299.0], "one seed": [500.0]}
    assert words(cells) == {"best": "can't tell", "far": "worse", "one seed": "can't tell"}


def test_few_cells():
    assert words({}) == {}
    assert words({"only": [1.0, 2.0]}) == {"only": "best"}
    assert words({"a": [1.0], "b": [2.0]}) == {"a": "can't tell", "b": "can't tell"}
    assert words({"a": [], "b": [math.nan, 1.0], "c": [1.0, 2.0]}) == {
        "a": "can't tell", "b": "can't tell", "c": "best",
    }  # fmt: skip


def test_cells_without_spread_are_the_best_if_they_equal_it():
    known = {"a": [3.0, 3.0], "same": [3.0, 3.0], "less": [2.0, 2.0]}
    assert words(known) == {"a": "best", "same": "best", "less": "can't tell"}
    beside = {"none": [1.0, 1.0, 1.0], "some": [400.0, 402.0, 401.0], "more": [399.0, 400.0, 402.0]}
    assert words(beside) == {"none": "worse", "some": "best", "more": "best"}


def test_values_without_a_logarithm_are_compared_as_they_are():
    signed = {"a": [0.0, 1.0, -1.0], "near": [0.5, -0.5, -1.5], "far": [-90.0, -91.0, -89.0]}
    assert words(signed) == {"a": "best", "near": "can't tell", "far": "worse"}
    shares = {"a": [0.80, 0.801, 0.799], "near": [0.8, 0.799, 0.798], "zero": [0.0, 0.0, 0.001]}
    assert words(shares) == {"a": "best", "near": "best", "zero": "worse"}


def test_what_was_borrowed_is_told():
    cells = {"a": A, "b": B, "c": [3.0, 4.0, 3.5], "one": [2.0]}
    found = stats.standings(cells, True)
    spread = stats.spreads_of([np.log(cells[name]) for name in "abc"])
    assert [found[name].borrowed for name in "abc"] == pytest.approx(list(spread.borrowed))
    assert found["one"].borrowed == 0


@pytest.mark.parametrize("sd", [ALIKE, UNLIKE])
@pytest.mark.parametrize("seeds", [3, 10])
def test_bold_and_plain_are_seldom_wrong(seeds, sd, monkeypatch):
    monkeypatch.setattr("tests.stats.error_rates.REPLICATES", 250)
    rng = np.random.default_rng(0)
    assert called_worse(seeds, sd, rng) <= 0.07
    assert called_best(seeds, sd, rng) <= 0.07
    assert told(seeds, sd, (0.0, *[0.7] * 5), rng) >= 0.99  # half as good


@pytest.mark.parametrize("ratio", [1.0, 4.0])
def test_a_cell_of_one_seed_is_never_bold_nor_is_one_beside_a_better(ratio):
    rng = np.random.default_rng(0)
    for _ in range(100):
        few, many = rng.normal(size=(2, 10)) * 0.1
        cells = {"one": np.exp(ratio * few[:1]), "ten": np.exp(many)}
        found = words(cells)
        assert found["one"] == "can't tell"
        assert (found["ten"] == "best") == (cells["one"][0] <= cells["ten"].mean())


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
