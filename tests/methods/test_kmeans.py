import pytest
import torch

from collapsebench import ops
from collapsebench.methods.kmeans import KMeans


def test_training_shows_the_decoder_the_vectors_and_evaluation_the_codes(make, z_e):
    quantizer = make(KMeans)
    output = quantizer(z_e)
    assert output.z_q is z_e
    assert output.tokens.tolist() == [[[0, 1]]]
    assert output.loss.item() == 0.0
    assert quantizer.eval()(z_e).z_q.flatten().tolist() == [0.0, 3.0, 0.0, 0.0]


def test_start_is_kmeans_on_the_first_batch(z_e):
    quantizer = KMeans(2, 2, KMeans.Settings())
    quantizer.initialize(z_e)
    assert sorted(quantizer.codes().tolist()) == [[1.0, 1.0], [2.0, 1.0]]


def test_update_by_hand(make, z_e):
    quantizer = make(KMeans, decay=0.5)
    quantizer.counts.copy_(torch.tensor([4.0, 2.0, 6.0]))
    quantizer.sums.copy_(torch.tensor([[0.0, 0.0], [6.0, 0.0], [0.0, 24.0]]))
    quantizer.update(z_e.detach(), quantizer(z_e).tokens)
    assert quantizer.counts.tolist() == [3.0, 2.0, 3.0]
    assert quantizer.sums.tolist() == [[1.0, 1.0], [5.0, 1.0], [0.0, 12.0]]
    torch.testing.assert_close(quantizer.codes()[0], torch.tensor([1 / 3, 1 / 3]))
    assert quantizer.codes()[1:].tolist() == [[2.5, 0.5], [0.0, 4.0]]


@pytest.mark.parametrize(("count", "moved"), [(0.9, True), (1.1, False)])
def test_a_code_below_a_thousandth_of_the_mean_is_moved_and_reset(make, z_e, count, moved):
    quantizer = make(KMeans, decay=1.0)
    quantizer.counts.copy_(torch.tensor([1499.0, 1499.0, count]))  # with the batch: mean 1000
    quantizer.sums.copy_(torch.tensor([[0.0, 0.0], [4497.0, 0.0], [0.0, 4.0 * count]]))
    with ops.replayed_noise([torch.tensor([1, 0])]):
        quantizer.update(z_e.detach(), quantizer(z_e).tokens)
    expected = (1.0, [2.0, 1.0]) if moved else (count, [0.0, 4.0])
    assert quantizer.counts[2].item() == pytest.approx(expected[0])
    assert quantizer.codes()[2].tolist() == pytest.approx(expected[1])
    torch.testing.assert_close(quantizer.sums[2], quantizer.counts[2] * quantizer.codes()[2])


def test_on_a_frozen_encoder_the_error_is_that_of_ten_iterations_of_lloyd():
    torch.manual_seed(0)
    encoder = torch.nn.Conv2d(3, 4, 4, stride=4)
    with torch.no_grad():
        batches = [encoder(torch.rand(16, 3, 32, 32)) for _ in range(30)]
    points = ops.channels_last(torch.cat(batches)).reshape(-1, 4)
    quantizer = KMeans(32, 4, KMeans.Settings())
    quantizer.initialize(batches[0])
    for _ in range(3):
        for z_e in batches:
            quantizer.update(z_e, quantizer(z_e).tokens)
    lloyd, found = (
        ops.squared_distances(points, codes).amin(-1).mean().item()
        for codes in (ops.kmeans(points, 32), quantizer.codes())
    )
    assert found < 1.02 * lloyd


def test_the_encoder_hears_nothing_of_the_codes(make, z_e):
    output = make(KMeans)(z_e)
    (output.z_q.sum() + output.loss).backward()
    assert z_e.grad.flatten().tolist() == [1.0, 1.0, 1.0, 1.0]
    assert list(make(KMeans).parameters()) == []
