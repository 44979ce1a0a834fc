import pytest
import torch

from collapsebench import ops
from collapsebench.methods.vq_reset import VQReset

STILL = [torch.zeros(4, 2), torch.tensor([3, 2, 1, 0])]  # two vectors tiled to four, backwards


@pytest.fixture
def started(make, codebook):
    """Builds the method as if the codebook of three codes had been its start."""

    def build(**settings):
        quantizer = make(VQReset, **settings)
        quantizer.ema_sums.copy_(codebook)
        return quantizer

    return build


def test_forward_by_hand(started, z_e):
    output = started()(z_e)
    assert output.tokens.tolist() == [[[0, 1]]]
    assert output.z_q.flatten().tolist() == [0.0, 3.0, 0.0, 0.0]
    assert output.loss.item() == 0.25
    assert output.terms["rare_codes"].item() == 0.0


def test_start_takes_vectors_of_the_batch_in_the_drawn_order():
    quantizer = VQReset(2, 1, VQReset.Settings())
    with ops.replayed_noise([torch.tensor([2, 0, 1])]):
        quantizer.initialize(torch.tensor([5.0, 6.0, 7.0]).view(1, 1, 1, 3))
    assert quantizer.codebook.tolist() == [[7.0], [5.0]]
    assert quantizer.ema_sums.tolist() == [[7.0], [5.0]]
    assert quantizer.ema_counts.tolist() == [1.0, 1.0]


def test_start_tiles_and_jitters_a_batch_smaller_than_the_codebook(started, z_e):
    quantizer = started()
    with ops.replayed_noise([torch.ones(4, 2), torch.tensor([3, 0, 2, 1])]):
        quantizer.initialize(z_e)
    expected = torch.tensor([[2.0, 1.0], [1.0, 1.0], [1.0, 1.0]]) + 0.01 / 2**0.5
    torch.testing.assert_close(quantizer.codebook, expected)


def test_kmeans_start_finds_the_clusters_and_counts_one_vector_each():
    torch.manual_seed(0)
    quantizer = VQReset(4, 2, VQReset.Settings(start="kmeans"))
    corners = torch.tensor([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0], [9.0, 9.0]])
    quantizer.initialize(ops.channels_first(corners.repeat(3, 1).view(3, 2, 2, 2)))
    assert sorted(quantizer.codebook.tolist()) == sorted(corners.tolist())
    assert torch.equal(quantizer.ema_sums, quantizer.codebook)
    assert quantizer.ema_counts.tolist() == [1.0, 1.0, 1.0, 1.0]


def test_update_by_hand(started, z_e):
    # code 0 wins both vectors: n = (1 + 2) / 2, s = (3, 2) / 2; the others fall to n = 1/2
    quantizer = started(decay=0.5)
    with ops.replayed_noise(STILL):
        quantizer.update(z_e.detach(), torch.tensor([[[0, 0]]]))
    expected = torch.tensor([[1.0, 2 / 3], [1.0, 1.0], [2.0, 1.0]])
    torch.testing.assert_close(quantizer.codebook, expected)
    assert quantizer(z_e).terms["rare_codes"].item() == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("reset", "counts", "sums"),
    [
        (False, [1.5, 0.5, 0.5], [[1.5, 1.0], [1.5, 0.0], [0.0, 2.0]]),
        (True, [1.5, 0.75, 0.75], [[1.5, 1.0], [0.75, 0.75], [1.5, 0.75]]),
    ],
    ids=["as Jukebox", "as RQ-VAE"],
)
def test_state_of_a_replaced_code_is_kept_or_reset(started, z_e, reset, counts, sums):
    quantizer = started(decay=0.5, threshold=0.75, reset_state=reset)
    with ops.replayed_noise(STILL):
        quantizer.update(z_e.detach(), torch.tensor([[[0, 0]]]))
    assert quantizer.ema_counts.tolist() == counts
    assert quantizer.ema_sums.tolist() == sums
    assert quantizer.codebook[1:].tolist() == [[1.0, 1.0], [2.0, 1.0]]


def of_value(value, count):
    """(1, 1, 1, count): a batch of equal vectors, so that a replaced code has that value."""
    return torch.full((1, 1, 1, count), float(value))


@pytest.mark.parametrize(("hits", "steps"), [(2, 69), (16, 7)])
def test_dead_code_revives_as_the_mean_of_all_it_won_meanwhile(hits, steps):
    quantizer = VQReset(1, 1, VQReset.Settings())
    quantizer.ema_counts.zero_()
    quantizer.ema_sums.zero_()
    tokens = torch.zeros(1, 1, hits, dtype=torch.int64)
    for step in range(1, steps):
        quantizer.update(of_value(step, hits), tokens)
        assert quantizer.codebook.item() == step  # below the threshold: replaced at every step
    quantizer.update(of_value(steps, hits), tokens)
    weights = [0.99 ** (steps - step) for step in range(1, steps + 1)]
    mean = sum(w * step for w, step in zip(weights, range(1, steps + 1), strict=True))
    assert quantizer.codebook.item() == pytest.approx(mean / sum(weights), rel=1e-5)


def test_unused_code_dies_after_276_steps_from_a_count_of_16():
    quantizer = VQReset(2, 1, VQReset.Settings())
    quantizer.ema_counts.fill_(16)
    quantizer.ema_sums.fill_(16 * 5.0)
    tokens = torch.ones(1, 1, 4, dtype=torch.int64)
    for _ in range(275):
        quantizer.update(of_value(1, 4), tokens)
    assert quantizer.codebook[0].item() == pytest.approx(5.0)
    quantizer.update(of_value(1, 4), tokens)
    assert quantizer.codebook[0].item() == 1.0


def test_even_use_by_too_few_vectors_keeps_every_code_dead():
    quantizer = VQReset(4, 1, VQReset.Settings(decay=0.9))
    for step in range(100):  # half a vector per code and batch
        start = 2 * (step % 2)
        quantizer.update(of_value(step, 2), torch.tensor([[[start, start + 1]]]))
    assert quantizer(of_value(0, 2)).terms["rare_codes"].item() == 1.0
    assert (quantizer.codebook - 99).abs().max() < 0.1


def test_threshold_zero_replaces_nothing_even_when_counts_have_underflowed(started, z_e):
    quantizer = started(threshold=0.0)
    quantizer.ema_counts[2] = 0.0
    quantizer.ema_sums[2] = 0.0
    quantizer.update(z_e.detach(), torch.tensor([[[0, 1]]]))
    expected = torch.tensor([[0.01, 0.01], [2.99, 0.01], [0.0, 0.0]])
    torch.testing.assert_close(quantizer.codebook, expected)


def test_output_uses_the_codebook_from_before_the_update(started, z_e):
    quantizer = started()
    output = quantizer(z_e)
    quantizer.update(z_e.detach(), output.tokens)
    assert output.z_q.flatten().tolist() == [0.0, 3.0, 0.0, 0.0]


def test_optimizer_does_not_own_the_codebook(started):
    assert started().parameter_groups(1e-3)[0]["params"] == []
