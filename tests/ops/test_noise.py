import math

import pytest
import torch

from collapsebench import ops


def test_replayed_noise_gives_the_draws_in_order_and_only_inside():
    draws = [torch.full((2,), 0.25), torch.tensor([2, 0, 1])]
    with ops.replayed_noise(draws):
        assert ops.uniform_like(torch.empty(2)).mul_(2).tolist() == [0.5, 0.5]
        assert ops.permutation(3, torch.device("cpu")).tolist() == [2, 0, 1]
    assert draws[0].tolist() == [0.25, 0.25]
    assert ops.normal_like(torch.empty(100)).unique().numel() == 100


@pytest.mark.parametrize(
    ("draws", "message"),
    [
        ([], "no recorded draw left"),
        ([torch.zeros(3)], r"recorded draw \(3,\), asked for \(2,\)"),
        ([torch.zeros(2), torch.zeros(2)], "1 recorded draws were not used"),
    ],
    ids=["too few", "wrong shape", "too many"],
)
def test_replayed_noise_refuses_draws_that_do_not_fit(draws, message):
    with pytest.raises(RuntimeError, match=message), ops.replayed_noise(draws):
        ops.exponential_like(torch.empty(2))


def test_permutation_holds_every_number_once_and_varies():
    torch.manual_seed(0)
    first, second = (ops.permutation(50, torch.device("cpu")) for _ in range(2))
    assert sorted(first.tolist()) == list(range(50))
    assert not torch.equal(first, second)


def test_integers_take_every_value_below_and_no_other():
    torch.manual_seed(0)
    drawn = ops.integers(200, 5, torch.device("cpu"))
    assert drawn.dtype == torch.int64
    assert drawn.unique().tolist() == [0, 1, 2, 3, 4]


def test_multinomial_draws_in_proportion_to_the_weights_of_each_row():
    torch.manual_seed(0)
    drawn = ops.multinomial(torch.tensor([[0.0, 3.0, 1.0], [2.0, 0.0, 0.0]]), 4000)
    assert drawn.shape == (2, 4000)
    assert drawn[0].bincount(minlength=3).tolist() == pytest.approx([0, 3000, 1000], abs=100)
    assert drawn[1].max() == 0
    assert ops.multinomial(torch.tensor([0.0, 1.0]), 3).tolist() == [1, 1, 1]


def test_noise_has_its_distribution():
    torch.manual_seed(0)
    big = torch.empty(20_000)
    for draw, mean, variance in [
        (ops.uniform_like, 1 / 2, 1 / 12),
        (ops.normal_like, 0.0, 1.0),
        (lambda x: ops.normal_like(x, std=3.0) / 3, 0.0, 1.0),
        (ops.exponential_like, 1.0, 1.0),
        (ops.gumbel_like, 0.5772, math.pi**2 / 6),
    ]:
        noise = draw(big)
        assert noise.mean().item() == pytest.approx(mean, abs=0.03)
        assert noise.var().item() == pytest.approx(variance, abs=0.06)
