import pytest
import torch

from collapsebench.methods.cosine_vq import CosineVQ

CODES = torch.tensor([[3.0, 0.0], [0.0, 4.0], [-5.0, -5.0]])  # directions right, up, down left


@pytest.fixture
def quantizer():
    return pointed()


def pointed(**settings):
    """The method with the three directions."""
    quantizer = CosineVQ(3, 2, CosineVQ.Settings(**settings))
    quantizer.codebook.data.copy_(CODES)
    return quantizer


@pytest.fixture
def z():
    """(1, 2, 1, 2): (3, 4), nearest to up, and (8, -6), nearest to right."""
    return torch.tensor([[[[3.0, 8.0]], [[4.0, -6.0]]]]).requires_grad_()


def test_forward_by_hand(quantizer, z):
    # u = (0.6, 0.8) and (0.8, -0.6): squared distances 0.36 + 0.04 to each code, mean 0.2
    output = quantizer(z)
    assert output.tokens.tolist() == [[[1, 0]]]
    assert output.z_q.flatten().tolist() == [0.0, 1.0, 1.0, 0.0]
    assert output.loss.item() == pytest.approx(1.25 * 0.2)
    assert output.terms["commitment"].item() == pytest.approx(0.2)


def test_decoder_gradient_goes_through_the_normalisation(quantizer, z):
    upstream = torch.tensor([[[[1.0, 0.0]], [[2.0, 0.0]]]])
    quantizer(z).z_q.backward(upstream)
    # w - (w.u) u = (1, 2) - 2.2 (0.6, 0.8), over the norm 5: orthogonal to (3, 4)
    assert z.grad[0, :, 0, 0].tolist() == pytest.approx([-0.064, 0.048], rel=1e-5)
    assert z.grad[0, :, 0, 1].tolist() == [0.0, 0.0]


def test_gradient_at_the_codes_is_orthogonal_to_them(quantizer, z):
    quantizer(z).loss.backward()
    gradient = quantizer.codebook.grad
    # 2/4 (up - u) = (-0.3, 0.1), without its part along up, over the norm 4
    assert gradient[1].tolist() == pytest.approx([-0.075, 0.0], abs=1e-7)
    assert gradient[0].tolist() == pytest.approx([0.0, 0.1], abs=1e-7)
    assert gradient[2].tolist() == [0.0, 0.0]


def test_lengths_change_nothing_but_the_size_of_gradients(quantizer, z):
    longer = pointed()
    longer.codebook.data.mul_(100)
    output, same = quantizer(z), longer(z * 7)
    assert torch.equal(output.tokens, same.tokens)
    torch.testing.assert_close(output.loss, same.loss)
    torch.testing.assert_close(output.z_q, same.z_q)


def test_codes_are_unit_vectors(quantizer):
    half = 0.5**0.5
    expected = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-half, -half]])
    torch.testing.assert_close(quantizer.codes(), expected)
    looked_up = quantizer.embed(torch.tensor([[[2]]])).flatten().tolist()
    assert looked_up == pytest.approx([-half, -half])


def test_evaluation_has_no_loss(quantizer, z):
    assert quantizer.eval()(z).loss.item() == 0.0


def test_beta_zero_leaves_the_encoder_alone(z):
    pointed(beta=0.0)(z).loss.backward()
    assert z.grad.abs().max() == 0


def test_entropy_term_is_off_by_default_and_adds_to_the_loss(quantizer, z):
    # squared distances to right, up, down left: 2 - 2 cos
    cosines = torch.tensor([[0.6, 0.8, -1.4 * 0.5**0.5], [0.8, -0.6, -0.2 * 0.5**0.5]])
    p = ((2 * cosines - 2) / 0.5).softmax(-1)
    rows = -(p * p.log()).sum(-1).mean()
    mean = -(p.mean(0) * (p.mean(0) + 1e-5).log()).sum()
    output = pointed(entropy=0.1, temperature=0.5)(z)
    assert "row_entropy" not in quantizer(z).terms
    assert output.loss.item() == pytest.approx(0.25 + 0.1 * (rows - mean).item(), rel=1e-5)
    assert output.terms["row_entropy"].item() == pytest.approx(rows.item(), rel=1e-5)
    assert output.terms["mean_entropy"].item() == pytest.approx(mean.item(), rel=1e-5)


def test_uniform_codes_start_with_norm_one_and_normal_ones_do_not():
    torch.manual_seed(0)
    norms = {
        kind: CosineVQ(64, 8, CosineVQ.Settings(codebook_init=kind)).codebook.norm(dim=1)
        for kind in ("uniform", "normal")
    }
    torch.testing.assert_close(norms["uniform"], torch.ones(64))
    assert norms["normal"].mean().item() == pytest.approx(8**0.5, rel=0.1)


def test_zero_vector_has_a_code_and_a_finite_loss(quantizer):
    output = quantizer(torch.zeros(1, 2, 1, 1))
    assert output.z_q.flatten().norm().item() == pytest.approx(1.0)
    assert output.loss.item() == pytest.approx(1.25 * 0.5)


def test_there_is_no_posterior(quantizer, z):
    assert quantizer.posterior(z) is None
