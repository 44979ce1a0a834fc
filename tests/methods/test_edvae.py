import math

import pytest
import torch

from collapsebench import ops
from collapsebench.methods.edvae import EdVAE

ZERO_GUMBEL = math.exp(-1)  # -log(-log u) = 0


def test_forward_by_hand(make, logits, without_gumbel):
    # alpha = (2, 2, 3), S = 7, so y = p = (2, 2, 3) / 7 without noise at temperature 1.
    quantizer = make(EdVAE)
    quantizer.beta.fill_(0.5)
    output = without_gumbel(quantizer, logits, ZERO_GUMBEL)
    # ln Gamma(7) - 2 ln Gamma(3) - 2 (psi(7) - psi(2)) - 2 (psi(7) - psi(3))
    kl = math.log(720 / 4) - 2 * 1.45 - 2 * 0.95
    assert output.z_q.flatten().tolist() == pytest.approx([6 / 7, 12 / 7])
    assert output.tokens.tolist() == [[[2]]]
    assert output.terms["kl"].item() == pytest.approx(kl, rel=1e-5)
    assert output.loss.item() == pytest.approx(0.5 * kl, rel=1e-5)
    assert output.terms["uncertainty"].item() == pytest.approx(3 / 7)


@pytest.mark.parametrize("kl", ["official", "float64", "stable"])
def test_kl_and_its_gradient_by_hand(make, logits, kl, without_gumbel):
    quantizer = make(EdVAE, kl=kl)
    quantizer.beta.fill_(1.0)
    without_gumbel(quantizer, logits, ZERO_GUMBEL).loss.backward()
    # psi'(2) = pi^2/6 - 1, psi'(3) = psi'(2) - 1/4, psi'(7) = psi'(3) - 1/9 - 1/16 - 1/25 - 1/36
    two = math.pi**2 / 6 - 1
    three, seven = two - 1 / 4, two - 1 / 4 - 1 / 9 - 1 / 16 - 1 / 25 - 1 / 36
    expected = [two - 4 * seven] * 2 + [2 * (2 * three - 4 * seven)]
    assert logits.grad.flatten().tolist() == pytest.approx(expected, rel=1e-4)


def test_uncertainty_is_half_and_kl_as_specified_at_the_start():
    quantizer = EdVAE(512, 4, EdVAE.Settings())
    terms = quantizer(torch.zeros(1, 512, 2, 2)).terms
    assert terms["uncertainty"].item() == 0.5
    assert terms["kl"].item() == pytest.approx(59.26, abs=0.005)


def test_evaluation_takes_the_largest_unclamped_logit(make):
    quantizer = make(EdVAE, clamp=10.0).eval()
    output = quantizer(torch.tensor([11.0, 12.0, 3.0]).view(1, 3, 1, 1))
    assert output.tokens.item() == 1
    assert output.z_q.flatten().tolist() == [3.0, 0.0]


def test_clamped_logits_get_no_gradient(make, without_gumbel):
    logits = torch.tensor([11.0, 12.0, 3.0]).view(1, 3, 1, 1).requires_grad_()
    quantizer = make(EdVAE, clamp=10.0)
    quantizer.beta.fill_(1.0)
    output = without_gumbel(quantizer, logits, ZERO_GUMBEL)
    (output.z_q.sum() + output.loss).backward()
    gradient = logits.grad.flatten()
    assert gradient[:2].tolist() == [0.0, 0.0]
    assert gradient[2] != 0


def test_codes_below_float32_epsilon_get_no_gradient_from_the_reconstruction(make, without_gumbel):
    # Here even the large code's p is clamped, at 1 - eps: nothing is left.
    logits = torch.tensor([19.0, 0.0, 0.0]).view(1, 3, 1, 1).requires_grad_()
    without_gumbel(make(EdVAE), logits, ZERO_GUMBEL).z_q.sum().backward()
    assert logits.grad.flatten().tolist() == [0.0, 0.0, 0.0]


def test_temperature_to_zero_picks_one_code(make, logits):
    quantizer = make(EdVAE, temperature=1e-4)
    output = quantizer(logits)
    assert torch.equal(output.z_q, quantizer.embed(output.tokens))


def test_tokens_in_training_follow_the_dirichlet_mean(make, logits):
    torch.manual_seed(0)
    tokens = make(EdVAE)(logits.detach().expand(1, 3, 100, 100)).tokens
    shares = torch.bincount(tokens.flatten(), minlength=3) / tokens.numel()
    assert shares.tolist() == pytest.approx([2 / 7, 2 / 7, 3 / 7], abs=0.015)


def test_sampled_probabilities_have_the_same_marginal_and_reach_the_encoder(make, logits):
    torch.manual_seed(0)
    output = make(EdVAE, train_probs="sample")(logits.expand(1, 3, 100, 100))
    shares = torch.bincount(output.tokens.flatten(), minlength=3) / output.tokens.numel()
    assert shares.tolist() == pytest.approx([2 / 7, 2 / 7, 3 / 7], abs=0.015)
    output.z_q.square().mean().backward()
    assert logits.grad.abs().sum() > 0


def test_sampled_probabilities_vary_where_the_mean_does_not(make, logits):
    # Noise of the assignment switched off: what varies is the Dirichlet draw.
    grid, noise = logits.detach().expand(1, 3, 20, 20), torch.full((1, 20, 20, 3), ZERO_GUMBEL)
    spread = {}
    for kind in ("mean", "sample"):
        with ops.replayed_noise([noise]):
            spread[kind] = make(EdVAE, train_probs=kind)(grid).z_q.detach().std((2, 3)).min().item()
    # 3 p_1 with p_1 ~ Beta(2, 5): variance 9 * 10 / (49 * 8)
    assert spread["mean"] < 1e-6
    assert spread["sample"] == pytest.approx((90 / 392) ** 0.5, rel=0.15)


def test_posterior_is_the_dirichlet_mean(make, logits):
    probabilities = make(EdVAE).posterior(logits)
    assert probabilities.flatten().tolist() == pytest.approx([2 / 7, 2 / 7, 3 / 7])


def test_beta_and_temperature_follow_the_paper(make):
    quantizer = make(EdVAE)
    assert quantizer.anneal(torch.tensor(0.0))["beta"].item() == 0.0
    annealed = quantizer.anneal(torch.tensor(100_000.0))
    assert annealed["beta"].item() == pytest.approx(5e-7)
    assert annealed["temperature"].item() == pytest.approx(math.exp(-1))


def test_constant_temperature_stays(make):
    annealed = make(EdVAE, temperature=2.0).anneal(torch.tensor(100_000.0))
    assert annealed["temperature"].item() == 2.0


def test_paper_sets_a_smaller_beta_off_cifar10():
    assert EdVAE.for_dataset == {"celeba": {"beta": 1e-7}, "lsun_church": {"beta": 1e-7}}


def test_one_code_has_nothing_to_learn():
    quantizer = EdVAE(1, 2, EdVAE.Settings())
    output = quantizer(torch.randn(2, 1, 3, 3))
    assert output.terms["kl"].item() == pytest.approx(0.0, abs=1e-6)
    assert torch.allclose(output.z_q, quantizer.embed(torch.zeros(2, 3, 3, dtype=torch.int64)))
