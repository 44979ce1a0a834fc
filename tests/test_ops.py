import math

import mpmath  # comes with torch
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


def test_replayed_noise_gives_the_draws_in_order_and_only_inside():
    draws = [torch.full((2,), 0.25), torch.tensor([2, 0, 1])]
    with ops.replayed_noise(draws):
        assert ops.uniform_like(torch.empty(2)).mul_(2).tolist() == [0.5, 0.5]
        assert ops.permutation(3, torch.device("cpu")).tolist() == [2, 0, 1]
    assert draws[0].tolist() == [0.25, 0.25]
    assert ops.normal_like(torch.empty(100)).unique().numel() == 100


@pytest.mark.parametrize(
    ("draws", "message"),
    [
        ([], "no recorded draw left"),
        ([torch.zeros(3)], r"recorded draw \(3,\), asked for \(2,\)"),
        ([torch.zeros(2), torch.zeros(2)], "1 recorded draws were not used"),
    ],
    ids=["too few", "wrong shape", "too many"],
)
def test_replayed_noise_refuses_draws_that_do_not_fit(draws, message):
    with pytest.raises(RuntimeError, match=message), ops.replayed_noise(draws):
        ops.exponential_like(torch.empty(2))


def test_permutation_holds_every_number_once_and_varies():
    torch.manual_seed(0)
    first, second = (ops.permutation(50, torch.device("cpu")) for _ in range(2))
    assert sorted(first.tolist()) == list(range(50))
    assert not torch.equal(first, second)


def test_integers_take_every_value_below_and_no_other():
    torch.manual_seed(0)
    drawn = ops.integers(200, 5, torch.device("cpu"))
    assert drawn.dtype == torch.int64
    assert drawn.unique().tolist() == [0, 1, 2, 3, 4]


def test_multinomial_draws_in_proportion_to_the_weights_of_each_row():
    torch.manual_seed(0)
    drawn = ops.multinomial(torch.tensor([[0.0, 3.0, 1.0], [2.0, 0.0, 0.0]]), 4000)
    assert drawn.shape == (2, 4000)
    assert drawn[0].bincount(minlength=3).tolist() == pytest.approx([0, 3000, 1000], abs=100)
    assert drawn[1].max() == 0
    assert ops.multinomial(torch.tensor([0.0, 1.0]), 3).tolist() == [1, 1, 1]


def test_noise_has_its_distribution():
    torch.manual_seed(0)
    big = torch.empty(20_000)
    for draw, mean, variance in [
        (ops.uniform_like, 1 / 2, 1 / 12),
        (ops.normal_like, 0.0, 1.0),
        (lambda x: ops.normal_like(x, std=3.0) / 3, 0.0, 1.0),
        (ops.exponential_like, 1.0, 1.0),
        (ops.gumbel_like, 0.5772, math.pi**2 / 6),
    ]:
        noise = draw(big)
        assert noise.mean().item() == pytest.approx(mean, abs=0.03)
        assert noise.var().item() == pytest.approx(variance, abs=0.06)


def test_digits_by_hand_and_back():
    bases = torch.tensor([3, 5, 4])
    assert ops.digits_of(torch.tensor([37, 59]), bases).tolist() == [[1, 2, 2], [2, 4, 3]]
    tokens = torch.arange(60).view(3, 4, 5)
    assert torch.equal(ops.tokens_of(ops.digits_of(tokens, bases), bases), tokens)


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
