import math

import pytest
import torch

from collapsebench import ops
from collapsebench.methods.lfq import LFQ


def made(dim=3, **settings):
    return LFQ(2**dim, dim, LFQ.Settings(**settings))


@pytest.fixture
def z():
    """(1, 3, 1, 2): (0.5, -0.2, 0), whose zero is undecided, and (-1, 2, 3)."""
    return torch.tensor([[0.5, -0.2, 0.0], [-1.0, 2.0, 3.0]]).t().view(1, 3, 1, 2).requires_grad_()


def test_forward_by_hand(z):
    output = made()(z)
    assert output.tokens.tolist() == [[[1, 2 + 4]]]  # the first dimension is the lowest bit
    assert output.z_q[0, :, 0].t().tolist() == [[1, -1, -1], [-1, 1, 1]]
    commitment = (0.25 + 0.64 + 1 + 0 + 1 + 4) / 6
    # bits are decided but for the zero: rows have ln 2 and 0; codes 1 and 5 have 1/4, code 6 1/2
    rows = math.log(2) / 2
    mean = -0.5 * math.log(0.25 + 1e-5) - 0.5 * math.log(0.5 + 1e-5)
    terms = {name: term.item() for name, term in output.terms.items()}
    assert terms == pytest.approx(
        {"row_entropy": rows, "mean_entropy": mean, "commitment": commitment}, rel=1e-5
    )
    expected = 0.1 * (rows - mean) + 0.25 * commitment
    assert output.loss.item() == pytest.approx(expected, rel=1e-5)


def test_zero_becomes_minus_one():
    output = made()(torch.zeros(1, 3, 1, 1))
    assert output.tokens.item() == 0
    assert output.z_q.flatten().tolist() == [-1, -1, -1]


def test_rows_and_batch_have_weights_of_their_own(z):
    rows, mean = (made()(z).terms[name].item() for name in ("row_entropy", "mean_entropy"))
    only = {"commitment": 0.0, "entropy": 1.0}
    assert made(**only, batch_weight=0.0)(z).loss.item() == pytest.approx(rows)
    assert made(**only, row_weight=0.0)(z).loss.item() == pytest.approx(-mean)


def test_closed_form_equals_the_softmax_over_all_codes():
    z = 0.02 * torch.randn(2, 6, 4, 4, generator=torch.Generator().manual_seed(0))
    quantizer, z_e = made(6, commitment=0.0, entropy=1.0), z.clone().requires_grad_()
    output = quantizer(z_e)
    output.loss.backward()

    dense = z.clone().requires_grad_()
    codes = quantizer.embed(torch.arange(64).view(1, 1, 64))[0, :, 0]  # (D, K)
    rows, mean = ops.entropies(2 * ops.channels_last(dense) @ codes / 0.01)
    (rows - mean).backward()
    torch.testing.assert_close(output.terms["row_entropy"], rows.detach())
    torch.testing.assert_close(output.terms["mean_entropy"], mean.detach())
    torch.testing.assert_close(z_e.grad, dense.grad, rtol=1e-4, atol=1e-5)


def test_row_term_has_no_gradient_where_bits_are_decided():
    z_e = torch.tensor([0.3, -0.5, 0.4]).view(1, 3, 1, 1).requires_grad_()
    made(commitment=0.0, batch_weight=0.0)(z_e).loss.backward()
    assert z_e.grad.abs().max() < 1e-20


def test_batch_term_pulls_a_lone_bit_back():
    z_e = torch.tensor([[0.003, 0.004]]).view(1, 1, 1, 2).requires_grad_()
    made(1, commitment=0.0, row_weight=0.0)(z_e).loss.backward()
    assert (z_e.grad > 0).all()  # descent lowers both: the other sign is unused


def test_decoder_gradient_passes_straight_through(z):
    upstream = torch.arange(6.0).view(1, 3, 1, 2)
    made()(z).z_q.backward(upstream)
    assert torch.equal(z.grad, upstream)


def test_evaluation_has_no_loss(z):
    output = made().eval()(z)
    assert output.loss.item() == 0.0
    assert output.terms == {}


def test_every_code_comes_back_as_its_token():
    tokens = torch.arange(2**10).view(1, 32, 32)
    quantizer = made(10)
    assert torch.equal(quantizer(quantizer.embed(tokens)).tokens, tokens)


def test_posterior_is_the_softmax_over_the_codes(z):
    probabilities = made(temperature=1.0).posterior(z)
    bits = (4 * z.detach()[0, :, 0, 0]).sigmoid()
    assert probabilities[0, 1 + 4, 0, 0].item() == pytest.approx(
        (bits[0] * (1 - bits[1]) * bits[2]).item(), rel=1e-5
    )
    assert torch.equal(probabilities.argmax(1)[0, 0, 1], torch.tensor(6))


def test_no_posterior_above_4096_codes():
    assert made(12).posterior(torch.zeros(1, 12, 1, 1)) is not None
    assert made(13).posterior(torch.zeros(1, 13, 1, 1)) is None


def test_many_codes_need_no_tensor_of_positions_times_codes(largest):
    quantizer, z_e = made(16), 0.01 * torch.randn(2, 16, 16, 16)

    def train():
        output = quantizer(z_e.requires_grad_())
        (output.loss + output.z_q.sum()).backward()

    assert largest(train) <= max(2**16, 512 * 2**8)
    assert z_e.grad.isfinite().all()
    assert largest(lambda: quantizer.embed(torch.zeros(1, 2, 2, dtype=torch.int64))) < 2**10
