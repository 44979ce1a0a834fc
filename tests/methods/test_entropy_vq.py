import math

import pytest
import torch

from collapsebench.methods.entropy_vq import EntropyVQ
from collapsebench.methods.vq_vae import VQVAE


def softmax(*logits):
    weights = [math.exp(value) for value in logits]
    return [weight / sum(weights) for weight in weights]


def entropy(p, inside=0.0):
    return -sum(share * math.log(share + inside) for share in p)


def test_forward_by_hand(make, z_e):
    # both mean squared differences are 1; squared distances (2, 5, 10) and (5, 2, 13), T = 2
    output = make(EntropyVQ, temperature=2.0)(z_e)
    first, second = softmax(-1, -2.5, -5), softmax(-2.5, -1, -6.5)
    rows = (entropy(first) + entropy(second)) / 2
    mean = entropy([(a + b) / 2 for a, b in zip(first, second, strict=True)], 1e-5)
    assert output.tokens.tolist() == [[[0, 1]]]
    assert output.z_q.flatten().tolist() == [0.0, 3.0, 0.0, 0.0]
    assert output.loss.item() == pytest.approx(1.25 + 0.1 * (rows - mean), rel=1e-5)
    assert output.terms["row_entropy"].item() == pytest.approx(rows, rel=1e-5)
    assert output.terms["mean_entropy"].item() == pytest.approx(mean, rel=1e-5)


def test_default_temperature_is_saturated_by_distances_of_order_one(make, z_e):
    quantizer = make(EntropyVQ, beta=0.0)
    output = quantizer(z_e)
    output.loss.backward()
    # one-hot rows, half the vectors on each of two codes
    assert output.terms["row_entropy"].item() == 0.0
    assert output.terms["mean_entropy"].item() == pytest.approx(-math.log(0.5 + 1e-5), rel=1e-6)
    assert z_e.grad.abs().max() == 0
    assert quantizer.codebook.grad.tolist() == [[-0.5, -0.5], [0.5, -0.5], [0.0, 0.0]]


def test_term_pushes_vectors_apart_where_one_code_takes_them_all(make):
    z_e = torch.tensor([[[[1.4, 1.3]], [[0.1, 0.1]]]]).requires_grad_()
    quantizer = make(EntropyVQ, temperature=1.0, beta=0.0)
    output = quantizer(z_e)
    output.loss.backward()
    assert output.tokens.unique().tolist() == [0]
    assert z_e.grad[0, 0, 0, 0] < z_e.grad[0, 0, 0, 1]  # descent moves the first to the right


def test_without_the_term_it_is_vq_vae(make, z_e):
    plain, ours = make(VQVAE), make(EntropyVQ, entropy=0.0)
    for quantizer in (plain, ours):
        quantizer(z_e).loss.backward()
    assert torch.equal(ours(z_e).loss, plain(z_e).loss)
    assert torch.equal(ours.codebook.grad, plain.codebook.grad)


def test_decoder_gradient_passes_straight_through(make, z_e):
    quantizer = make(EntropyVQ)
    upstream = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 2, 1, 2)
    quantizer(z_e).z_q.backward(upstream)
    assert torch.equal(z_e.grad, upstream)
    assert quantizer.codebook.grad is None


def test_evaluation_has_no_loss(make, z_e):
    output = make(EntropyVQ).eval()(z_e)
    assert output.loss.item() == 0.0
    assert output.z_q.flatten().tolist() == [0.0, 3.0, 0.0, 0.0]


def test_equally_near_codes_take_the_lowest(make):
    assert make(EntropyVQ)(torch.tensor([1.5, 0.0]).view(1, 2, 1, 1)).tokens.item() == 0


def test_codes_start_within_the_root_of_three_over_k():
    torch.manual_seed(0)
    codes = EntropyVQ(64, 4, EntropyVQ.Settings()).codes()
    bound = math.sqrt(3 / 64)
    assert 0.95 * bound < codes.abs().max() <= bound


def test_posterior_by_hand(make, z_e):
    probabilities = make(EntropyVQ, temperature=2.0).posterior(z_e)
    expected = softmax(-1, -2.5, -5)
    assert probabilities[0, :, 0, 0].tolist() == pytest.approx(expected, rel=1e-5)
