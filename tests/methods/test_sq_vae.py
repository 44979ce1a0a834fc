import math

import pytest
import torch

from collapsebench.methods.sq_vae import SQVAE


def posterior_at_quarter_weight():
    """log p of (1, 1) and (2, 1) at w = 1/4: squared distances (2, 5, 10) and (5, 2, 13)."""
    rows = []
    for squared in ((2, 5, 10), (5, 2, 13)):
        normalizer = math.log(sum(math.exp(-d / 4) for d in squared))
        rows.append([-d / 4 - normalizer for d in squared])
    return rows


def test_evaluation_by_hand(make, z_e):
    # log-variance 0: sigma^2 = 2, w = 1/4; z_q = (0, 0), (3, 0); squared errors 2 + 2
    output = make(SQVAE, log_variance=0.0).eval()(z_e)
    log_p = [value for row in posterior_at_quarter_weight() for value in row]
    negative_entropy = sum(math.exp(value) * value for value in log_p)
    assert output.tokens.flatten().tolist() == [0, 1]
    assert output.loss.item() == pytest.approx(negative_entropy + 1.0, rel=1e-5)
    assert output.terms["weight"].item() == 0.25


def test_training_mixes_codes_by_the_posterior(make, z_e, without_gumbel):
    output = without_gumbel(make(SQVAE, log_variance=0.0), z_e, math.exp(-1))
    first = [math.exp(value) for value in posterior_at_quarter_weight()[0]]
    assert output.z_q[0, :, 0, 0].tolist() == pytest.approx([3 * first[1], 4 * first[2]], rel=1e-5)


def test_losses_are_sums_over_positions_and_means_over_images(make, z_e):
    quantizer = make(SQVAE).eval()
    once = quantizer(z_e).loss
    assert quantizer(torch.cat([z_e, z_e])).loss.item() == pytest.approx(once.item(), rel=1e-6)
    assert quantizer(torch.cat([z_e, z_e], 3)).loss.item() == pytest.approx(2 * once.item())


def test_variance_starts_at_21_and_never_falls_below_1(make, z_e):
    assert make(SQVAE)(z_e).terms["weight"].item() == pytest.approx(1 / 42)
    assert make(SQVAE, log_variance=-50.0)(z_e).terms["weight"].item() == pytest.approx(1 / 2)


def test_variance_is_learned(make, z_e):
    quantizer = make(SQVAE)
    quantizer(z_e).loss.backward()
    assert quantizer.log_variance.grad.abs() > 1e-4


def test_reconstruction_loss_by_hand(make):
    # two images, 48 elements each, squared error 12 per image: 24 ln 12
    x, x_hat = torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 0.5)
    loss = make(SQVAE).reconstruction_loss(x_hat, x)
    assert loss.item() == pytest.approx(24 * math.log(12))


def test_temperature_counts_steps_from_one(make):
    annealed = make(SQVAE).anneal(torch.tensor(99_999.0))
    assert annealed["temperature"].item() == pytest.approx(math.exp(-1), rel=1e-6)


def test_posterior_by_hand(make, z_e):
    probabilities = make(SQVAE, log_variance=0.0).posterior(z_e)
    expected = [math.exp(value) for value in posterior_at_quarter_weight()[1]]
    assert probabilities[0, :, 0, 1].tolist() == pytest.approx(expected, rel=1e-5)
