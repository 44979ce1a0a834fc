import math

import pytest
import torch

from collapsebench.methods.dvae import DVAE


def test_forward_by_hand(make, logits, without_gumbel):
    quantizer = make(DVAE)
    quantizer.beta.fill_(2.0)
    output = without_gumbel(quantizer, logits, 1.0)
    # q = (1, 1, 2) / 4, uniform = 1/3
    kl = 0.5 * math.log(3 / 4) + 0.5 * math.log(3 / 2)
    assert output.z_q.flatten().tolist() == pytest.approx([3 / 4, 2.0])
    assert output.tokens.item() == 2
    assert output.loss.item() == pytest.approx(2 * kl, rel=1e-5)


def test_kl_is_at_most_ln_k(make):
    certain = torch.tensor([300.0, 0.0, 0.0]).view(1, 3, 1, 1)
    assert make(DVAE)(certain).terms["kl"].item() == pytest.approx(math.log(3))


def test_temperature_divides_logits_and_noise(make, logits, without_gumbel):
    output = without_gumbel(make(DVAE, temperature=0.5), logits, 1.0)
    # odds squared: (1, 1, 4) / 6
    assert output.z_q.flatten().tolist() == pytest.approx([3 / 6, 16 / 6])


def test_temperature_to_zero_picks_one_code(make, logits):
    quantizer = make(DVAE, temperature=1e-4)
    output = quantizer(logits)
    assert torch.equal(output.z_q, quantizer.embed(output.tokens))


def test_tokens_in_training_follow_the_softmax(make, logits):
    torch.manual_seed(0)
    tokens = make(DVAE)(logits.detach().expand(1, 3, 100, 100)).tokens
    shares = torch.bincount(tokens.flatten(), minlength=3) / tokens.numel()
    assert shares.tolist() == pytest.approx([1 / 4, 1 / 4, 1 / 2], abs=0.015)


def test_evaluation_takes_the_largest_logit(make, logits):
    output = make(DVAE).eval()(logits)
    assert output.tokens.item() == 2
    assert output.z_q.flatten().tolist() == [0.0, 4.0]


def test_beta_zero_leaves_no_loss(make, logits):
    quantizer = make(DVAE, beta=0.0)
    quantizer.anneal(torch.tensor(150_000.0))
    assert quantizer(logits).loss.item() == 0.0


def test_posterior_is_the_softmax(make, logits):
    assert make(DVAE).posterior(logits).flatten().tolist() == pytest.approx([0.25, 0.25, 0.5])


def test_beta_and_temperature_follow_the_paper(make):
    annealed = make(DVAE).anneal(torch.tensor(100_000.0))
    assert annealed["beta"].item() == pytest.approx(5e-5)
    assert annealed["temperature"].item() == pytest.approx(math.exp(-1))
