import math

import pytest
import torch

from collapsebench.methods.gs_vq_vae import GSVQVAE


def softmax(*logits):
    weights = [math.exp(value) for value in logits]
    return [weight / sum(weights) for weight in weights]


def test_forward_by_hand(make, z_e, without_gumbel):
    quantizer = make(GSVQVAE)
    quantizer.beta.fill_(3.0)
    output = without_gumbel(quantizer, z_e, 1.0)
    first, second = softmax(-2, -5, -10), softmax(-5, -2, -13)  # minus squared distances
    expected = [3 * first[1], 3 * second[1], 4 * first[2], 4 * second[2]]
    kl = sum(q * math.log(3 * q) for q in first + second) / 2
    assert output.z_q.flatten().tolist() == pytest.approx(expected, rel=1e-5)
    assert output.tokens.flatten().tolist() == [0, 1]
    assert output.loss.item() == pytest.approx(3 * kl, rel=1e-5)


def test_temperature_enters_the_sample_but_not_the_kl(make, z_e, without_gumbel):
    cold = without_gumbel(make(GSVQVAE, temperature=0.1), z_e, 1.0)
    warm = without_gumbel(make(GSVQVAE, temperature=10.0), z_e, 1.0)
    assert cold.terms["kl"] == warm.terms["kl"]
    assert cold.z_q[0, :, 0, 0].tolist() == pytest.approx([0.0, 0.0], abs=1e-6)
    assert warm.z_q[0, 0, 0, 0] > 0.5


def test_evaluation_takes_the_nearest_code(make, z_e):
    output = make(GSVQVAE).eval()(z_e)
    assert output.tokens.flatten().tolist() == [0, 1]
    assert output.z_q.flatten().tolist() == [0.0, 3.0, 0.0, 0.0]


def test_kl_moves_encoder_and_codebook(make, z_e):
    quantizer = make(GSVQVAE)
    quantizer.beta.fill_(1.0)
    quantizer(z_e).loss.backward()
    # Moving all vectors and all codes together changes no distance.
    total = z_e.grad.sum((0, 2, 3)) + quantizer.codebook.grad.sum(0)
    assert z_e.grad.abs().max() > 0.01
    assert total.abs().max() < 1e-5


def test_one_code_has_no_kl():
    quantizer = GSVQVAE(1, 2, GSVQVAE.Settings())
    output = quantizer(torch.randn(2, 2, 3, 3))
    assert output.terms["kl"].item() == pytest.approx(0.0, abs=1e-6)
    assert output.tokens.max() == 0


def test_pixel_variance_divides_the_reconstruction_error(make):
    x, x_hat = torch.zeros(1, 3, 2, 2), torch.full((1, 3, 2, 2), 0.5)
    assert make(GSVQVAE).reconstruction_loss(x_hat, x).item() == 0.25
    divided = make(GSVQVAE, pixel_variance=0.0625).reconstruction_loss(x_hat, x)
    assert divided.item() == 4.0


def test_posterior_by_hand(make, z_e):
    probabilities = make(GSVQVAE).posterior(z_e)
    assert probabilities[0, :, 0, 0].tolist() == pytest.approx(softmax(-2, -5, -10), rel=1e-5)


def test_beta_follows_the_paper(make):
    annealed = make(GSVQVAE).anneal(torch.tensor(150_000.0))
    assert annealed["beta"].item() == pytest.approx(5e-6)
    assert annealed["temperature"].item() == pytest.approx(math.exp(-1.5))
