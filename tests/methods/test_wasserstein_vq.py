import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from collapsebench.methods.wasserstein_vq import WassersteinVQ, wasserstein_distance
from collapsebench.quantizer import Incompatible


def test_forward_by_hand(make, z_e):
    # every element of z_e - z_q is 1 or -1, so both losses are 1
    output = make(WassersteinVQ, gamma=0.0, beta=0.25, alpha=2.0)(z_e)
    assert output.tokens.tolist() == [[[0, 1]]]
    assert output.z_q.flatten().tolist() == [0.0, 3.0, 0.0, 0.0]
    assert output.loss.item() == 2.25


def test_decoder_gradient_passes_straight_through(make, z_e):
    quantizer = make(WassersteinVQ)
    upstream = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 2, 1, 2)
    quantizer(z_e).z_q.backward(upstream)
    assert torch.equal(z_e.grad, upstream)
    assert quantizer.codebook.grad is None


@pytest.mark.parametrize(
    ("mean", "std", "expected"), [(2.0, 1.0, 2.0), (0.0, 3.0, 2.0), (4.0, 3.0, 20**0.5)]
)
def test_distance_on_a_line_by_hand(mean, std, expected):
    # in units of the vectors' deviation, squared: the means' distance plus the deviations'
    vectors = torch.tensor([[-5.0], [0.0], [5.0]])
    codes = 5 * (mean + std * torch.tensor([[-1.0], [1.0]]) / 2**0.5)
    assert wasserstein_distance(vectors, codes).item() == pytest.approx(expected, rel=1e-4)


def test_distance_equals_the_closed_form_in_float64():
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(50, 4)) @ generator.normal(size=(4, 4))
    codes = generator.normal(size=(20, 4)) + 1
    found = wasserstein_distance(torch.from_numpy(vectors), torch.from_numpy(codes)).item()

    scale = vectors.std(0, ddof=1).max()
    a, b = np.cov(vectors.T) / scale**2, np.cov(codes.T) / scale**2
    between = ((vectors.mean(0) - codes.mean(0)) ** 2).sum() / scale**2
    overlap = np.trace(sqrtm(sqrtm(a) @ b @ sqrtm(a))).real
    expected = np.sqrt(between + np.trace(a) + np.trace(b) - 2 * overlap)
    assert found == pytest.approx(expected, rel=1e-6)


def test_distance_of_equal_moments_is_zero():
    torch.manual_seed(0)
    vectors = torch.randn(40, 3)
    assert wasserstein_distance(vectors, vectors.flip(0)).item() < 2e-3


def test_distance_pulls_the_codes_and_not_the_vectors(make, z_e):
    quantizer = make(WassersteinVQ, alpha=0.0, beta=0.0, queue=2)
    quantizer(z_e).loss.backward()
    assert z_e.grad.abs().max() == 0
    assert quantizer.codebook.grad[2].norm() > 0  # also a code that won nothing


def test_all_codes_take_on_the_moments_of_the_vectors():
    torch.manual_seed(0)
    z_e = torch.tensor([2.0, 0.5]).view(2, 1, 1) * torch.randn(4, 2, 4, 4) + 3
    quantizer = WassersteinVQ(16, 2, WassersteinVQ.Settings(queue=64, alpha=0.0))
    optimizer = torch.optim.Adam(quantizer.parameter_groups(0.1 / 400))
    for _ in range(80):
        optimizer.zero_grad()
        quantizer(z_e).loss.backward()
        optimizer.step()
    codes, vectors = quantizer.codes(), quantizer.queue
    torch.testing.assert_close(codes.mean(0), vectors.mean(0), atol=0.1, rtol=0)
    torch.testing.assert_close(codes.std(0), vectors.std(0), atol=0.1, rtol=0)


def test_queue_is_filled_before_the_distance_is_taken(make, z_e):
    quantizer = make(WassersteinVQ, queue=2)
    output = quantizer(z_e)
    assert quantizer.queue.tolist() == [[1.0, 1.0], [2.0, 1.0]]
    by_batch = wasserstein_distance(torch.tensor([[1.0, 1.0], [2.0, 1.0]]), quantizer.codebook)
    assert output.terms["wasserstein"].item() == by_batch.item()


def test_queue_keeps_the_newest_vectors_whatever_the_batch(make, z_e):
    quantizer = make(WassersteinVQ, queue=3)
    quantizer(z_e)
    quantizer(10 * z_e)
    assert quantizer.queue.tolist() == [[20.0, 10.0], [2.0, 1.0], [10.0, 10.0]]
    assert quantizer.pointer.item() == 1
    five = torch.arange(5.0).expand(1, 2, 1, 5)
    quantizer(five)
    assert sorted(quantizer.queue[:, 0].tolist()) == [2.0, 3.0, 4.0]


def test_evaluation_leaves_the_queue_alone(make, z_e):
    quantizer = make(WassersteinVQ).eval()
    before = quantizer.queue.clone()
    quantizer(z_e)
    assert torch.equal(quantizer.queue, before)


def test_codes_learn_at_a_multiple_of_the_rate(make):
    quantizer = make(WassersteinVQ)
    (group,) = quantizer.parameter_groups(5e-5)
    assert group["lr"] == pytest.approx(0.02)
    assert group["params"] == [quantizer.codebook]


def test_codes_and_queue_start_small():
    torch.manual_seed(0)
    quantizer = WassersteinVQ(512, 8, WassersteinVQ.Settings())
    assert quantizer.queue.shape == (65_536, 8)
    assert quantizer.codes().std().item() == pytest.approx(0.01, rel=0.05)
    assert quantizer.queue.std().item() == pytest.approx(0.01, rel=0.05)


def test_a_vector_that_is_not_finite_gives_such_a_loss(make, z_e):
    output = make(WassersteinVQ)(z_e * torch.nan)
    assert output.loss.isnan()


def test_one_code_has_no_covariance():
    with pytest.raises(Incompatible, match="at least 2 codes"):
        WassersteinVQ(1, 2, WassersteinVQ.Settings())
