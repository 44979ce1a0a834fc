import math

import pytest
import torch

from collapsebench import ops
from collapsebench.methods.rotation_vq import RotationVQ

BOTH = torch.tensor([[[0, 1]]])


def through(z, q, upstream, **settings):
    """Value and gradient at z of one vector that goes onto its only code."""
    quantizer = RotationVQ(1, len(z), RotationVQ.Settings(**settings))
    quantizer.codebook.data.copy_(torch.tensor([q]))
    z_e = torch.tensor(z).view(1, -1, 1, 1).requires_grad_()
    output = quantizer(z_e)
    output.z_q.backward(torch.tensor(upstream).view(1, -1, 1, 1))
    return output.z_q.flatten().tolist(), z_e.grad.flatten().tolist(), output.terms["lambda"].item()


def test_forward_by_hand(make, z_e):
    output = make(RotationVQ)(z_e)
    assert output.tokens.tolist() == [[[0, 1]]]
    assert output.z_q.flatten().tolist() == [0.0, 3.0, 0.0, 0.0]
    assert output.loss.item() == 1.0
    assert output.terms["lambda"].item() == pytest.approx(3 / 5**0.5 / 2)


def test_gradient_is_turned_back_and_stretched():
    # a quarter turn to the left and a doubling: (1, 2) turns right to (2, -1)
    value, gradient, stretch = through([2.0, 0.0], [0.0, 4.0], [1.0, 2.0])
    assert value == [0.0, 4.0]
    assert gradient == pytest.approx([4.0, -2.0])
    assert stretch == 2.0


def test_gradient_is_that_of_the_explicit_rotation():
    torch.manual_seed(0)
    z, q, g = torch.randn(3, 7, dtype=torch.float64)
    u, v = z / z.norm(), q / q.norm()
    w = (u + v) / (u + v).norm()
    rotation = torch.eye(7) - 2 * torch.outer(w, w) + 2 * torch.outer(v, u)
    stretch = q.norm() / z.norm()
    torch.testing.assert_close(stretch * rotation @ z, q)
    torch.testing.assert_close(rotation @ rotation.t(), torch.eye(7, dtype=torch.float64))
    value, gradient, _ = through(*(x.float().tolist() for x in (z, q, g)))
    assert value == q.float().tolist()
    assert gradient == pytest.approx((stretch * rotation.t() @ g).tolist(), rel=1e-5)


def test_straight_through_is_the_other_estimator():
    value, gradient, _ = through([2.0, 0.0], [0.0, 4.0], [1.0, 2.0], estimator="straight_through")
    assert (value, gradient) == ([0.0, 4.0], [1.0, 2.0])


@pytest.mark.parametrize(
    ("z", "q", "gradient"),
    [
        ([2.0, 0.0], [2.0, 0.0], [1.0, 3.0]),  # the vector is its code: the identity
        ([-1.0, 0.0], [2.0, 0.0], [-2.0, 6.0]),  # antiparallel: a reflection, doubled
        ([1e-4, 0.0], [2.0, 0.0], [2e4, 6e4]),  # a short vector: stretched without bound
        ([0.0, 0.0], [2.0, 0.0], [-2e6, 6e6]),  # no direction: w is the code's
        ([2.0, 0.0], [0.0, 0.0], [0.0, 0.0]),  # a code at zero
    ],
    ids=["equal", "antiparallel", "short", "zero", "zero code"],
)
def test_degenerate_vectors_give_the_code_and_a_finite_gradient(z, q, gradient):
    value, ours, _ = through(z, q, [1.0, 3.0])
    assert value == q
    assert ours == pytest.approx(gradient, rel=1e-5)


@pytest.mark.parametrize("estimator", ["rotation", "straight_through"])
def test_cosine_form_gives_unit_codes_and_gradients_across_the_vector(estimator):
    settings = {"cosine": True, "estimator": estimator}
    value, gradient, stretch = through([3.0, 4.0], [0.0, 2.0], [5.0, 1.0], **settings)
    assert value == [0.0, 1.0]
    assert stretch == pytest.approx(1.0)
    # across the code the upstream is 5; turned back onto (0.8, -0.6), or projected by it
    length = 5.0 if estimator == "rotation" else 4.0
    assert gradient == pytest.approx([0.8 * length / 5, -0.6 * length / 5], abs=1e-6)


@pytest.mark.parametrize("estimator", ["rotation", "straight_through"])
def test_cosine_form_survives_a_zero_vector(estimator):
    settings = {"cosine": True, "estimator": estimator}
    value, gradient, _ = through([0.0, 0.0], [0.0, 2.0], [5.0, 1.0], **settings)
    assert value == [0.0, 1.0]
    assert all(math.isfinite(g) for g in gradient)


def test_update_by_hand(make, codebook, z_e):
    quantizer = make(RotationVQ)
    quantizer.ema_sums.copy_(codebook)
    quantizer.update(z_e.detach(), BOTH)
    torch.testing.assert_close(quantizer.ema_counts, torch.tensor([0.2, 0.2, 0.0]))
    sums = torch.tensor([[0.2, 0.2], [2.8, 0.2], [0.0, 3.2]])
    torch.testing.assert_close(quantizer.ema_sums, sums)
    smoothed = torch.tensor([0.20001, 0.20001, 0.00001]) / 0.40003 * 0.4
    torch.testing.assert_close(quantizer.codebook, sums / smoothed[:, None])


def test_unused_code_is_thrown_away_comes_back_and_shrinks_to_zero(make, codebook, z_e):
    quantizer = make(RotationVQ)
    quantizer.ema_sums.copy_(codebook)
    lengths = []
    for _ in range(120):
        quantizer.update(z_e.detach(), BOTH)
        lengths.append(quantizer.codebook[2].norm().item())
    assert lengths[0] == pytest.approx(0.8 * 4 / 1e-5, rel=1e-3)
    assert lengths[45] > 4 > lengths[55]
    assert lengths[-1] < 1e-4


def test_codes_stay_on_the_sphere_in_the_cosine_form():
    torch.manual_seed(0)
    quantizer = RotationVQ(8, 4, RotationVQ.Settings(cosine=True))
    for _ in range(3):
        torch.testing.assert_close(quantizer.codebook.norm(dim=-1), torch.ones(8))
        z_e = 5 * torch.randn(2, 4, 3, 3)
        quantizer.update(z_e, quantizer(z_e).tokens)


def test_codes_by_gradient_follow_the_codebook_loss_of_vq_vae(make, codebook, z_e):
    quantizer = make(RotationVQ, codebook="gradient", beta=0.25)
    output = quantizer(z_e)
    assert output.loss.item() == 1.25
    (output.loss + output.z_q.sum()).backward()
    assert quantizer.codebook.grad.tolist() == [[-0.5, -0.5], [0.5, -0.5], [0.0, 0.0]]
    quantizer.update(z_e.detach(), output.tokens)
    assert torch.equal(quantizer.codes(), codebook)


def test_codes_by_gradient_are_normalised_where_they_are_used_in_the_cosine_form(make):
    quantizer = make(RotationVQ, codebook="gradient", cosine=True)
    assert quantizer.codes().tolist() == [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    embedded = quantizer.embed(torch.tensor([[[1, 2]]]))
    assert embedded.flatten().tolist() == [1.0, 0.0, 0.0, 1.0]


def test_averages_own_the_codebook_unless_it_learns_by_gradient():
    owned = {
        rule: len(list(RotationVQ(3, 2, RotationVQ.Settings(codebook=rule)).parameters()))
        for rule in ("ema", "gradient")
    }
    assert owned == {"ema": 0, "gradient": 1}


def test_codes_start_uniform_and_are_the_first_sums_of_no_vectors():
    torch.manual_seed(0)
    quantizer = RotationVQ(64, 8, RotationVQ.Settings())
    bound = math.sqrt(6 / (64 * 8))
    assert 0.98 * bound < quantizer.codebook.abs().max() <= bound
    assert torch.equal(quantizer.ema_sums, quantizer.codebook)
    assert quantizer.ema_counts.sum() == 0


def test_evaluation_gives_the_code_exactly():
    torch.manual_seed(0)
    quantizer = RotationVQ(16, 4, RotationVQ.Settings()).eval()
    output = quantizer(torch.randn(2, 4, 3, 3))
    assert torch.equal(output.z_q, ops.lookup(quantizer.codebook, output.tokens))
