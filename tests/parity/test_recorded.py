import pytest
import torch

from .recorded import Compared, grads
from .table import markdown


def compared(ours, official, quantity="VQ-VAE, train: z_q"):
    return Compared(quantity, "repo 1234567", torch.tensor(ours), torch.tensor(official))


@pytest.mark.parametrize(
    ("ours", "official", "agrees"),
    [
        ([1.00009, 4.0], [1.0, 4.0], True),
        ([1.00011, 4.0], [1.0, 4.0], False),
        ([3e-6, 4.0], [0.0, 4.0], True),
        ([5e-6, 4.0], [0.0, 4.0], False),
        ([float("nan"), 4.0], [1.0, 4.0], False),
        ([3, 4], [3, 4], True),
        ([3, 5], [3, 4], False),
    ],
)
def test_agreement_is_relative_and_tokens_must_be_equal(ours, official, agrees):
    assert compared(ours, official).agrees() is agrees


def test_what_float32_leaves_open_is_relative_to_the_largest_magnitude():
    pair = torch.tensor([5e-5, 4.0]), torch.tensor([0.0, 4.0])
    assert Compared("x: y", "repo", *pair, rounding=2e-5).agrees()
    assert not Compared("x: y", "repo", *pair, rounding=1e-5).agrees()


def test_deviation_is_relative_to_the_largest_official_magnitude():
    assert compared([1.0, -4.5], [1.5, -5.0]).deviation == pytest.approx(0.1)


def test_shapes_must_be_the_same():
    with pytest.raises(AssertionError, match="z_q"):
        compared([[1.0]], [1.0])


def test_comparison_keeps_the_value_of_its_moment():
    ours = torch.tensor([1.0])
    one = Compared("x: y", "repo", ours, torch.tensor([1.0]))
    ours.add_(1)
    assert one.agrees()


def test_gradient_is_zero_where_there_is_none():
    x, frozen = torch.tensor([2.0], requires_grad=True), torch.tensor([3.0])
    assert [g.item() for g in grads(x * frozen, torch.tensor(5.0), x, frozen)] == [15.0, 0.0]


def test_table_has_one_row_per_quantity_with_its_worst_deviation():
    rows = [compared([1.0], [1.0]), compared([3.0], [2.0], "VQ-VAE, eval: z_q")]
    assert markdown(rows).splitlines()[2:] == ["| VQ-VAE: z_q | repo 1234567 | 5.0e-01 |"]
