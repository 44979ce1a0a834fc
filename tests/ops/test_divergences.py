import math

import mpmath  # comes with torch
import pytest
import torch

from collapsebench import ops


def test_categorical_kl_is_zero_when_uniform_and_ln_k_when_certain():
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [200.0, 0.0, 0.0, 0.0]])
    torch.testing.assert_close(ops.categorical_kl(logits), torch.tensor([0.0, math.log(4)]))


def test_negative_entropy_by_hand_and_its_gradient():
    logits = torch.tensor([[1.0, 1.0, 2.0]]).log().double().requires_grad_()  # p = 1/4, 1/4, 1/2
    assert ops.negative_entropy(logits).item() == pytest.approx(-1.5 * math.log(2))
    assert torch.autograd.gradcheck(ops.negative_entropy, logits)
    certain = torch.tensor([[0.0, 300.0]], requires_grad=True)
    ops.negative_entropy(certain).sum().backward()
    assert certain.grad is not None
    assert certain.grad.tolist() == [[0.0, 0.0]]


def test_relaxed_one_hot_by_hand():
    logits, gumbel = torch.tensor([0.0, 1.0]), torch.tensor([2.0, 2.0])
    y = ops.relaxed_one_hot(logits, gumbel, torch.tensor(0.5))
    assert y.tolist() == pytest.approx([1 / (1 + math.e**2), 1 / (1 + math.e**-2)])
    assert (logits.tolist(), gumbel.tolist()) == ([0, 1], [2, 2])


def test_categorical_kl_agrees_with_torch_distributions():
    logits = torch.randn(20, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    uniform = torch.distributions.Categorical(logits=torch.zeros(20, 7, dtype=torch.float64))
    expected = torch.distributions.kl_divergence(
        torch.distributions.Categorical(logits=logits), uniform
    )
    torch.testing.assert_close(ops.categorical_kl(logits), expected, rtol=1e-8, atol=1e-9)


def lone_logit(size, others=-3.0, codes=512):
    """One logit of the given size, the others at -3: where float32 breaks."""
    logits = torch.full((1, codes), others)
    logits[0, 0] = size
    return logits.requires_grad_()


def kl_and_gradient(kl, logits):
    value = kl(logits)
    (gradient,) = torch.autograd.grad(value.sum(), logits)
    return value.detach(), gradient


def official(logits):
    return ops.dirichlet_kl(logits.exp() + 1)


def stable(logits):
    return ops.stable_dirichlet_kl(logits.exp())


def with_torch_distributions(logits):
    alpha = logits.exp() + 1
    uniform = torch.distributions.Dirichlet(torch.ones_like(alpha), validate_args=False)
    dirichlet = torch.distributions.Dirichlet(alpha, validate_args=False)
    return torch.distributions.kl_divergence(dirichlet, uniform)


@pytest.mark.parametrize("size", [-3.0, 5.0, 10.0, 18.0, 20.0, 22.0, 25.0, 30.0])
def test_dirichlet_kl_is_bit_for_bit_what_torch_distributions_gives(size):
    logits = lone_logit(size)
    ours = kl_and_gradient(official, logits)
    theirs = kl_and_gradient(with_torch_distributions, logits)
    assert torch.equal(ours[0], theirs[0])
    assert torch.equal(ours[1], theirs[1])


@pytest.mark.parametrize("spread", [0.5, 6.0])
def test_dirichlet_kl_is_bit_for_bit_the_same_at_ordinary_logits(spread):
    logits = spread * torch.randn(40, 64, generator=torch.Generator().manual_seed(0))
    logits.requires_grad_()
    ours = kl_and_gradient(official, logits)
    theirs = kl_and_gradient(with_torch_distributions, logits)
    assert torch.equal(ours[0], theirs[0])
    assert torch.equal(ours[1], theirs[1])


def test_dirichlet_kl_by_hand():
    # K = 2, alpha = (2, 1): density 2 x, KL = E[ln 2x] = ln 2 - 1/2.
    alpha = torch.tensor([2.0, 1.0], dtype=torch.float64)
    assert ops.dirichlet_kl(alpha).item() == pytest.approx(math.log(2) - 0.5)
    assert ops.stable_dirichlet_kl(alpha - 1).item() == pytest.approx(math.log(2) - 0.5)


def exact(size, others=-3.0, codes=512):
    """The KL of ``lone_logit`` and its derivative in that logit, in 50 digits."""
    with mpmath.workdps(50):
        top, rest = mpmath.exp(size), mpmath.exp(others)
        total = top + (codes - 1) * rest + codes
        value = mpmath.loggamma(total) - mpmath.loggamma(codes)
        for evidence, times in ((top, 1), (rest, codes - 1)):
            log_mean = mpmath.psi(0, evidence + 1) - mpmath.psi(0, total)
            value += times * (evidence * log_mean - mpmath.loggamma(evidence + 1))
        slope = top * mpmath.psi(1, top + 1) - (total - codes) * mpmath.psi(1, total)
        return float(value), float(top * slope)


ERRORS = {18.0: 0.02, 20.0: 0.81, 22.0: 1.0, 25.0: 1.0, 30.0: 1.0}


@pytest.mark.parametrize(("size", "error"), ERRORS.items())
def test_official_gradient_on_the_top_logit_is_wrong_from_18_and_zero_from_22(size, error):
    gradient = kl_and_gradient(official, lone_logit(size))[1][0, 0].item()
    assert abs(gradient / 511 - 1) == pytest.approx(error, abs=0.005)
    assert (gradient == 0) == (size >= 22)


@pytest.mark.parametrize("size", [-20.0, -3.0, 0.0, 2.0, 2.2, 5.0, 18.0, 20.0, 22.0, 25.0, 40.0])
def test_stable_kl_and_gradient_are_right_at_any_logit(size):
    value, gradient = kl_and_gradient(stable, lone_logit(size))
    assert value.item() == pytest.approx(exact(size)[0], rel=1e-6, abs=1e-3)
    assert gradient[0, 0].item() == pytest.approx(exact(size)[1], rel=2e-5)


@pytest.mark.parametrize("size", [18.0, 20.0, 22.0, 25.0])
def test_float64_gradient_is_right_where_float32_is_not(size):
    value, gradient = kl_and_gradient(official, lone_logit(size).double())
    assert value.item() == pytest.approx(exact(size)[0], rel=1e-5)
    assert gradient[0, 0].item() == pytest.approx(exact(size)[1], rel=1e-5)


@pytest.mark.parametrize("spread", [0.1, 1.0, 3.0])
def test_stable_kl_and_gradient_agree_with_float64(spread):
    logits = spread * torch.randn(40, 64, generator=torch.Generator().manual_seed(0))
    single, double = (logits.to(d).requires_grad_() for d in (torch.float32, torch.float64))
    value, gradient = kl_and_gradient(stable, single)
    expected = kl_and_gradient(with_torch_distributions, double)
    torch.testing.assert_close(value.double(), expected[0], rtol=1e-5, atol=1e-4)
    scale = expected[1].abs().max().item()
    torch.testing.assert_close(gradient.double(), expected[1], rtol=1e-4, atol=1e-6 * scale)


def test_stable_gradient_is_the_slope_of_its_own_value():
    evidence = torch.tensor([[0.01, 0.5, 8.9, 9.1, 40.0, 3e3]], dtype=torch.float64)
    assert torch.autograd.gradcheck(
        ops.stable_dirichlet_kl, evidence.requires_grad_(), eps=1e-5, atol=1e-7, rtol=1e-4
    )


def random_log_odds(*shape):
    generator = torch.Generator().manual_seed(0)
    return 3 * torch.randn(*shape, generator=generator, dtype=torch.float64)


def products_of_bits(log_odds):
    """(N, 2^D) probabilities, code by code; the first bit is the lowest."""
    one = log_odds.sigmoid()
    codes = []
    for token in range(2 ** log_odds.shape[-1]):
        bits = torch.tensor([token >> d & 1 for d in range(log_odds.shape[-1])])
        codes.append(torch.where(bits.bool(), one, 1 - one).prod(-1))
    return torch.stack(codes, -1)


@pytest.mark.parametrize("bits", [1, 2, 5])
def test_code_probabilities_are_products_of_bits(bits):
    log_odds = random_log_odds(7, bits)
    torch.testing.assert_close(ops.code_probabilities(log_odds), products_of_bits(log_odds))


def test_entropies_by_hand():
    logits = torch.tensor([[[1.0, 3.0], [3.0, 1.0]]]).log()  # rows (1/4, 3/4) and (3/4, 1/4)
    rows, mean = ops.entropies(logits)
    assert rows.item() == pytest.approx(0.25 * math.log(4) + 0.75 * math.log(4 / 3))
    assert mean.item() == pytest.approx(-math.log(0.5 + 1e-5))


def test_entropy_term_is_least_when_sure_rows_use_all_codes_evenly():
    even = 1e3 * torch.eye(8)
    rows, mean = ops.entropies(even)
    assert (rows - mean).item() == pytest.approx(math.log(1 / 8 + 1e-5), rel=1e-5)
    rows, mean = ops.entropies(torch.zeros(5, 8))
    assert (rows - mean).item() == pytest.approx(8e-5, rel=0.01)


def test_entropies_and_gradients_are_finite_where_the_softmax_is_saturated():
    logits = torch.tensor([[0.0, -1e5, 3e4]], requires_grad=True)
    rows, mean = ops.entropies(logits)
    (rows - mean).backward()
    assert rows.item() == 0.0
    assert logits.grad.tolist() == [[0.0, 0.0, 0.0]]


@pytest.mark.parametrize("bits", [1, 2, 5, 6])
def test_entropies_of_bits_equal_the_dense_ones(bits):
    log_odds = random_log_odds(9, bits).requires_grad_()
    p = products_of_bits(log_odds)
    mean_row = p.mean(0)
    rows = -(p * p.log()).sum(-1).mean()
    mean = -(mean_row * (mean_row + 1e-5).log()).sum()
    expected = torch.autograd.grad(rows - 2 * mean, log_odds)
    ours = ops.bit_entropies(log_odds, 1e-5)
    torch.testing.assert_close(ours, (rows, mean))
    gradient = torch.autograd.grad(ours[0] - 2 * ours[1], log_odds)
    torch.testing.assert_close(gradient, expected)


def test_entropies_of_groups_of_bits_add_up():
    groups = random_log_odds(3, 9, 4)
    each = torch.tensor([ops.bit_entropies(group, 1e-5) for group in groups])
    together = torch.tensor(ops.bit_entropies(groups, 1e-5))
    torch.testing.assert_close(together, each.sum(0))


def test_sure_bits_have_no_entropy_and_no_gradient():
    log_odds = torch.tensor([[800.0, -800.0], [-800.0, 0.0]], requires_grad=True)
    rows, mean = ops.bit_entropies(log_odds, 1e-30)
    (rows - mean).backward()
    # codes 1, 0 and 2 with shares 1/2, 1/4, 1/4
    assert rows.item() == pytest.approx(math.log(2) / 2)
    assert mean.item() == pytest.approx(1.5 * math.log(2))
    assert log_odds.grad.flatten()[:3].tolist() == [0.0, 0.0, 0.0]
