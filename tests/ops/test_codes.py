import math

import pytest
import torch

from collapsebench import ops

CODEBOOK = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])


def test_squared_distances_by_hand():
    z = torch.tensor([[[1.0, 1.0], [3.0, 4.0]]])
    expected = torch.tensor([[[2.0, 5.0, 10.0], [25.0, 16.0, 9.0]]])
    torch.testing.assert_close(ops.squared_distances(z, CODEBOOK), expected)


def test_nearest_agrees_with_cdist_and_ties_take_the_lowest():
    z = torch.randn(50, 2, generator=torch.Generator().manual_seed(0)) * 3
    assert torch.equal(ops.nearest(z, CODEBOOK), torch.cdist(z, CODEBOOK).argmin(-1))
    assert ops.nearest(torch.tensor([[1.5, 0.0]]), CODEBOOK).tolist() == [0]


def test_lookup_puts_the_code_dimension_first():
    found = ops.lookup(CODEBOOK, torch.tensor([[[1, 2]]]))
    assert found.tolist() == [[[[3.0, 0.0]], [[0.0, 4.0]]]]


def test_straight_through_has_exactly_one_value_and_the_other_gradient():
    z_e, z_q = torch.tensor([1e8, 0.1], requires_grad=True), torch.tensor([0.3, 0.7])
    output = ops.straight_through(z_e, z_q)
    output.backward(torch.tensor([2.0, 5.0]))
    assert torch.equal(output.detach(), z_q)
    assert z_e.grad.tolist() == [2.0, 5.0]


def test_straight_through_lets_nan_through():
    output = ops.straight_through(torch.tensor([math.nan]), torch.tensor([1.0]))
    assert output.isnan().all()


def test_counts_and_sums_by_hand():
    z = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])
    counts, sums = ops.counts_and_sums(z, torch.tensor([[2, 0, 2]]), 3)
    assert counts.tolist() == [1.0, 0.0, 2.0]
    assert sums.tolist() == [[3.0, 4.0], [0.0, 0.0], [6.0, 8.0]]


def test_kmeans_finds_separate_clusters():
    generator = torch.Generator().manual_seed(0)
    true = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
    points = true.repeat(50, 1) + 0.1 * torch.randn(200, 2, generator=generator)
    torch.manual_seed(0)
    centres = ops.kmeans(points, 4)
    order = ops.nearest(true, centres)
    assert sorted(order.tolist()) == [0, 1, 2, 3]
    torch.testing.assert_close(centres[order], points.view(50, 4, 2).mean(0))


def test_kmeans_gives_every_row_from_too_few_points():
    points = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    centres = ops.kmeans(points, 5)
    assert centres.shape == (5, 2)
    assert ops.squared_distances(points, centres).min(-1).values.tolist() == [0.0, 0.0]


def test_lloyd_by_hand_leaves_an_empty_centre_where_it_is():
    points = torch.tensor([[0.0], [2.0], [10.0]])
    centres = torch.tensor([[1.5], [7.0], [50.0]])
    assert ops.lloyd(points, centres, 0).tolist() == centres.tolist()
    assert ops.lloyd(points, centres, 1).tolist() == [[1.0], [10.0], [50.0]]


def test_batch_vectors_are_rows_in_the_drawn_order():
    z = torch.tensor([[1.0], [2.0], [3.0]])
    with ops.replayed_noise([torch.tensor([2, 0, 1])]):
        assert ops.batch_vectors(z, 2).tolist() == [[3.0], [1.0]]
    assert sorted(ops.batch_vectors(z, 3).flatten().tolist()) == [1.0, 2.0, 3.0]


def test_too_few_batch_vectors_are_tiled_and_jittered():
    z, noise = torch.tensor([[1.0] * 4, [2.0] * 4]), torch.ones(4, 4)
    with ops.replayed_noise([noise, torch.tensor([1, 2, 0, 3])]):
        vectors = ops.batch_vectors(z, 3)
    torch.testing.assert_close(vectors[:, 0], torch.tensor([2.005, 1.005, 1.005]))
    assert ops.batch_vectors(z[:1], 5).shape == (5, 4)


def test_smoothed_counts_keep_their_sum():
    smoothed = ops.smoothed_counts(torch.tensor([6.0, 2.0, 0.0]), 0.5)
    assert smoothed.tolist() == pytest.approx([8 * 6.5 / 9.5, 8 * 2.5 / 9.5, 8 * 0.5 / 9.5])
    assert smoothed.sum().item() == pytest.approx(8)


@pytest.mark.parametrize(("kind", "bound"), [("uniform", 1 / 64), ("sonnet", math.sqrt(3 / 8))])
def test_uniform_codebooks_fill_their_range(kind, bound):
    torch.manual_seed(0)
    codebook = ops.random_codebook(kind, 64, 8)
    assert 0.98 * bound < codebook.abs().max() <= bound


def test_fan_in_codebook_is_scaled_by_its_number_of_codes():
    torch.manual_seed(0)
    bound = math.sqrt(3 / 64)
    assert 0.98 * bound < ops.random_codebook("fan_in", 64, 8).abs().max() <= bound


def test_normal_codebook_has_unit_variance():
    torch.manual_seed(0)
    assert ops.random_codebook("normal", 64, 8).var().item() == pytest.approx(1.0, abs=0.15)


def test_digits_by_hand_and_back():
    bases = torch.tensor([3, 5, 4])
    assert ops.digits_of(torch.tensor([37, 59]), bases).tolist() == [[1, 2, 2], [2, 4, 3]]
    tokens = torch.arange(60).view(3, 4, 5)
    assert torch.equal(ops.tokens_of(ops.digits_of(tokens, bases), bases), tokens)
