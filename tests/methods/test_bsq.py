import itertools
import math

import pytest
import torch

from collapsebench.methods.bsq import BSQ
from collapsebench.quantizer import Incompatible


def made(dim=4, t=150_000.0, **settings):
    """The method at D dimensions, after the boost."""
    quantizer = BSQ(2**dim, dim, BSQ.Settings(**settings))
    quantizer.anneal(torch.tensor(t))
    return quantizer


def vectors(*rows):
    """(1, D, 1, N)."""
    return torch.tensor(rows).t()[None, :, None, :].contiguous()


def entropies(z_e, group, temperature=1.0):
    """Mean row entropy and entropy of the mean row by a dense softmax over each group's corners."""
    z = z_e[0, :, 0].t().double()
    u = z / z.norm(dim=1, keepdim=True)
    dim = u.shape[1]
    corners = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=group))).double()
    rows, mean = 0.0, 0.0
    for part in u.split(group, 1):
        p = (2 * part @ corners.t() / dim**0.5 / temperature).softmax(-1)
        rows += float(torch.special.entr(p).sum(1).mean())
        mean += float(torch.special.entr(p.mean(0)).sum())
    return rows, mean


@pytest.fixture
def z():
    return torch.randn(1, 6, 1, 20, generator=torch.Generator().manual_seed(0))


def test_forward_by_hand():
    output = made()(vectors([3.0, -3.0, 3.0, 3.0]))
    assert output.z_q.flatten().tolist() == [0.5, -0.5, 0.5, 0.5]
    assert output.tokens.item() == 8 + 2 + 1  # the first dimension is the highest bit
    # one vector: its row is the mean row; each bit is sigmoid(4 * 0.5 / 2)
    p = 1 / (1 + math.exp(-1))
    bit = -p * math.log(p) - (1 - p) * math.log(1 - p)
    assert output.terms["row_entropy"].item() == pytest.approx(4 * bit, rel=1e-5)
    assert output.loss.item() == pytest.approx(0.0, abs=1e-6)


def test_opposite_vectors_by_hand():
    # bit by bit the mean is even, 4 ln 2; of the 16 corners, (p^k q^(4-k) + p^(4-k) q^k) / 2
    z_e = vectors([2.0, 2.0, 2.0, 2.0], [-2.0, -2.0, -2.0, -2.0])
    p = 1 / (1 + math.exp(-1))
    rows = 4 * (-p * math.log(p) - (1 - p) * math.log(1 - p))
    corners = [(p**k * (1 - p) ** (4 - k) + p ** (4 - k) * (1 - p) ** k) / 2 for k in range(5)]
    mean = -sum(math.comb(4, k) * share * math.log(share) for k, share in enumerate(corners))
    assert made()(z_e).loss.item() == pytest.approx(0.1 * (rows - mean), rel=1e-5)
    analytical = made(analytical=True)(z_e).loss.item()
    assert analytical == pytest.approx(0.1 * (rows - 4 * math.log(2)), rel=1e-5)


@pytest.mark.parametrize("group", [1, 2, 3, 6])
def test_entropies_of_groups_equal_a_dense_softmax(z, group):
    output = made(6, group=group)(z)
    rows, mean = entropies(z, group)
    assert output.terms["row_entropy"].item() == pytest.approx(rows, rel=1e-6)
    assert output.terms["mean_entropy"].item() == pytest.approx(mean, rel=1e-6)
    assert output.loss.item() == pytest.approx(0.1 * (rows - mean), rel=1e-4)


def test_no_group_named_is_one_group_of_all(z):
    assert torch.equal(made(6)(z).loss, made(6, group=6)(z).loss)


def test_analytical_form_drops_the_groups_from_the_batch_term(z):
    losses = {group: made(6, group=group, analytical=True)(z).loss for group in (1, 3, 6)}
    assert losses[1] == losses[3] == losses[6] == made(6, group=1)(z).loss
    assert made(6, group=3)(z).loss - losses[3] > 1e-5


def test_only_groups_see_that_two_bits_go_together():
    together = vectors([1.0, 1.0], [1.0, 1.0], [-1.0, -1.0], [-1.0, -1.0])
    apart = vectors([1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0])
    by_bits = [made(2, analytical=True)(x).loss.item() for x in (together, apart)]
    by_group = [made(2)(x).loss.item() for x in (together, apart)]
    assert by_bits[0] == pytest.approx(by_bits[1], rel=1e-5)
    assert by_group[0] > by_group[1] + 0.005


def test_gamma_weighs_the_mean_row_and_temperature_multiplies_the_loss(z):
    rows, mean = entropies(z, 6, temperature=0.5)
    output = made(6, gamma=0.25, temperature=0.5)(z)
    assert output.loss.item() == pytest.approx(0.1 * 0.5 * (rows - 0.25 * mean), rel=1e-5)


def test_a_cold_softmax_stays_finite():
    z_e = vectors([1.0, 2.0, 3.0, 4.0]).requires_grad_()
    made(temperature=1e-4)(z_e).loss.backward()
    assert z_e.grad.isfinite().all()


def test_gradient_is_scaled_and_goes_through_the_normalisation():
    z_e = vectors([3.0, 4.0]).requires_grad_()
    made(2)(z_e).z_q.backward(vectors([1.0, 2.0]))
    # ((1, 2) - 2.2 (0.6, 0.8)) / 5 / sqrt(2)
    expected = [-0.064 / 2**0.5, 0.048 / 2**0.5]
    assert z_e.grad.flatten().tolist() == pytest.approx(expected, rel=1e-5)


def test_length_changes_nothing_and_zero_is_all_minus():
    quantizer, z_e = made(), vectors([0.3, -0.1, 2.0, -0.7])
    output, longer = quantizer(z_e), quantizer(100 * z_e)
    assert torch.equal(output.tokens, longer.tokens)
    torch.testing.assert_close(output.loss, longer.loss)
    zero = quantizer(torch.zeros(1, 4, 1, 1))
    assert zero.tokens.item() == 0
    assert zero.z_q.flatten().tolist() == [-0.5] * 4


def test_codes_lie_on_the_unit_sphere_and_come_back_as_their_tokens():
    tokens = torch.arange(2**9).view(1, 16, 32)
    quantizer = made(9, group=3).eval()
    codes = quantizer.embed(tokens)
    torch.testing.assert_close(codes.norm(dim=1), torch.ones(1, 16, 32))
    output = quantizer(codes)
    assert torch.equal(output.tokens, tokens)
    assert torch.equal(output.z_q, codes)


@pytest.mark.parametrize(("t", "weight"), [(0, 0.3), (500, 0.25), (1000, 0.2), (2000, 0.1)])
def test_weight_falls_from_three_times_in_2000_of_the_papers_steps(t, weight):
    quantizer = made(t=float(t))
    assert quantizer.weight.item() == pytest.approx(weight)
    assert quantizer.anneal(torch.tensor(150_000.0))["weight"].item() == pytest.approx(0.1)


def test_weight_before_any_step_is_that_of_step_zero(z):
    fresh = BSQ(64, 6, BSQ.Settings())
    assert torch.equal(fresh(z).loss, made(6, t=0.0)(z).loss)


@pytest.mark.parametrize("analytical", [False, True])
def test_groups_must_divide_the_dimensions(analytical):
    with pytest.raises(Incompatible, match="9 dimensions do not split into groups of 4"):
        BSQ(512, 9, BSQ.Settings(group=4, analytical=analytical))


def test_posterior_is_the_product_of_the_bits():
    z_e = vectors([3.0, -4.0])
    probabilities = made(2).posterior(z_e)[0, :, 0, 0]
    first, second = (1 / (1 + math.exp(-4 * u / 2**0.5)) for u in (0.6, -0.8))
    expected = [
        (1 - first) * (1 - second),
        (1 - first) * second,
        first * (1 - second),
        first * second,
    ]
    assert probabilities.tolist() == pytest.approx(expected, rel=1e-5)


def test_no_posterior_above_4096_codes():
    assert made(12).posterior(torch.zeros(1, 12, 1, 1)) is not None
    assert made(13).posterior(torch.zeros(1, 13, 1, 1)) is None


@pytest.mark.parametrize("group", [0, 9])
def test_2_to_the_18_codes_need_no_tensor_of_positions_times_codes(largest, group):
    quantizer, z_e = made(18, group=group), torch.randn(1, 18, 16, 16)

    def train():
        output = quantizer(z_e.requires_grad_())
        (output.loss + output.z_q.sum()).backward()

    assert largest(train) <= 2**18  # 256 positions: 2^26 would be one for each code
    assert z_e.grad.isfinite().all()
