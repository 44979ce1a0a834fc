"""Kendall's tau and what is said of it, against scipy and by hand."""

import math

import numpy as np
import pytest
from scipy.stats import kendalltau

from collapsebench.stats import orders
from tests.stats.error_rates import said


@pytest.mark.parametrize("seed", range(5))
def test_kendall_is_scipys_tau_b_with_and_without_ties(seed: int):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, 9))
    tied = rng.integers(0, 4, 9).astype(float)
    assert orders.kendall(x, y) == pytest.approx(kendalltau(x, y).statistic)
    assert orders.kendall(x, tied) == pytest.approx(kendalltau(x, tied).statistic)


def test_one_exchange_of_neighbours_among_four_is_two_thirds():
    found = orders.agreement([[1.0], [2.0], [3.0], [4.0]], [[1.0], [3.0], [2.0], [4.0]])
    assert found.tau == pytest.approx(4 / 6)  # five pairs agree, one does not
    assert found.ranks == ((4, 4), (3, 2), (2, 3), (1, 1))
    assert math.isnan(found.low)  # one seed has no interval
    assert found.word == orders.CANT_TELL


def test_an_order_far_beyond_its_noise_stands_and_its_reverse_moves():
    cells = [[10.0**i, 1.1 * 10**i, 0.9 * 10**i] for i in range(6)]
    same, reverse = orders.agreement(cells, cells), orders.agreement(cells, cells[::-1])
    assert (same.tau, same.low, same.high, same.word) == (1, 1, 1, orders.STANDS)
    assert (reverse.tau, reverse.high, reverse.word) == (-1, -1, orders.MOVES)


def test_seeds_alone_are_seldom_called_a_move():
    rates = said(seeds=3, steps=1.0, rng=np.random.default_rng(0))
    assert rates[orders.MOVES] <= 0.02
    assert said(seeds=3, steps=3.0, rng=np.random.default_rng(0))[orders.STANDS] >= 0.95


def test_means_are_geometric_and_arithmetic_where_a_value_is_zero():
    a = [[1.0, 100.0], [20.0, 20.0]]  # geometric 10 and 20, arithmetic 50.5 and 20
    assert [rank for rank, _ in orders.agreement(a, a).ranks] == [2, 1]
    with_zero = [[0.0, 100.0], [20.0, 20.0]]
    assert [rank for rank, _ in orders.agreement(with_zero, a).ranks] == [1, 2]


def test_a_side_of_one_tie_has_no_order():
    found = orders.agreement([[1.0, 1.0], [1.0, 1.0]], [[1.0, 1.1], [2.0, 2.1]])
    assert math.isnan(found.tau)
    assert found.word == orders.CANT_TELL
