import math

import pytest
import torch

from collapsebench.methods.ibq import IBQ


def softmax(*logits):
    weights = [math.exp(value) for value in logits]
    return [weight / sum(weights) for weight in weights]


def test_token_is_the_largest_inner_product_not_the_nearest_code(make, z_e):
    # (1, 1): products (0, 3, 4), although the zero code is nearest; (2, 1): (0, 6, 4)
    output = make(IBQ, entropy=0.0)(z_e)
    assert output.tokens.tolist() == [[[2, 1]]]
    assert output.z_q.flatten().tolist() == [0.0, 3.0, 4.0, 0.0]
    # squared differences 1 + 9 and 1 + 1, over 4 elements: 3, times 1 + 1 + 0.25
    assert output.loss.item() == 6.75
    assert output.terms["quantization"].item() == 6.75


def test_long_codes_win(make, z_e):
    quantizer = make(IBQ)
    quantizer.codebook.data[0] = torch.tensor([50.0, 50.0])
    assert quantizer(z_e).tokens.unique().tolist() == [0]


def test_gradients_equal_a_one_hot_that_carries_the_softmax(make, z_e):
    quantizer = make(IBQ)
    upstream = torch.tensor([1.0, -2.0, 3.0, 0.5]).view(1, 2, 1, 2)
    quantizer(z_e).z_q.backward(upstream)

    z, codes = z_e.detach().clone().requires_grad_(), quantizer.codebook.detach().requires_grad_()
    p = torch.einsum("bdhw,kd->bhwk", z, codes).softmax(-1)
    hard = torch.nn.functional.one_hot(p.argmax(-1), 3).float()
    z_q = torch.einsum("bhwk,kd->bdhw", hard + p - p.detach(), codes)
    z_q.backward(upstream)
    torch.testing.assert_close(z_e.grad, z.grad)
    torch.testing.assert_close(quantizer.codebook.grad, codes.grad)


def test_every_code_gets_a_gradient(make, z_e):
    quantizer = make(IBQ)
    quantizer(z_e).z_q.square().sum().backward()
    assert quantizer.codebook.grad.abs().sum(1).min() > 0.01  # code 0 was chosen nowhere


def losses_of(quantizer, z_e):
    """Gradients at z_e, (2, 2) by vector, and at the codebook."""
    z_e.grad = None
    quantizer(z_e).loss.backward()
    return z_e.grad[0, :, 0].t(), quantizer.codebook.grad


def test_beta_weighs_the_codebook_side_unless_the_paper_is_asked_for(make, z_e):
    at_z, at_codes = losses_of(make(IBQ, entropy=0.0), z_e)
    at_z_paper, at_codes_paper = losses_of(make(IBQ, entropy=0.0, side="commitment"), z_e)
    # 2/4 of each difference, 1 - 0.25 of it moves from one side to the other
    differences = torch.tensor([[1.0, -3.0], [-1.0, 1.0]])  # z_e - code, of codes 2 and 1
    torch.testing.assert_close(at_z - at_z_paper, 0.75 / 2 * differences)
    expected = torch.tensor([[0.0, 0.0], [-1.0, 1.0], [1.0, -3.0]])
    torch.testing.assert_close(at_codes - at_codes_paper, 0.75 / 2 * expected)


def test_entropy_term_by_hand(make, z_e):
    # products over T = 2
    first, second = softmax(0, 1.5, 2), softmax(0, 3, 2)
    rows = -sum(p * math.log(p) for p in first + second) / 2
    shares = [(a + b) / 2 for a, b in zip(first, second, strict=True)]
    mean = -sum(share * math.log(share + 1e-5) for share in shares)
    output = make(IBQ, quant=0.0, entropy=3.0, temperature=2.0)(z_e)
    assert output.loss.item() == pytest.approx(3 * (rows - mean), rel=1e-5)
    assert output.terms["row_entropy"].item() == pytest.approx(rows, rel=1e-5)


def test_loss_is_the_weighted_sum_of_its_parts(make, z_e):
    output = make(IBQ, quant=2.0)(z_e)
    terms = {name: term.item() for name, term in output.terms.items()}
    entropy = terms["row_entropy"] - terms["mean_entropy"]
    assert output.loss.item() == pytest.approx(2 * terms["quantization"] + 0.05 * entropy)


def test_decoder_sees_the_code_exactly_also_in_training():
    torch.manual_seed(0)
    quantizer = IBQ(32, 16, IBQ.Settings())
    output = quantizer(torch.randn(4, 16, 3, 3))
    assert torch.equal(output.z_q, quantizer.embed(output.tokens))


def test_posterior_is_the_softmax_of_the_products(make, z_e):
    probabilities = make(IBQ).posterior(z_e)
    assert probabilities[0, :, 0, 0].tolist() == pytest.approx(softmax(0, 3, 4), rel=1e-5)
    assert probabilities.argmax(1).tolist() == [[[2, 1]]]


def test_zero_vector_takes_the_first_code(make):
    assert make(IBQ)(torch.zeros(1, 2, 1, 1)).tokens.item() == 0
