import pytest
import torch

from collapsebench import ops
from collapsebench.methods.diveq import DiVeQ

BOTH, FIRST = torch.tensor([[[0, 1]]]), torch.tensor([[[0, 0]]])
NOISE = torch.tensor([[1.0, 1.0 + 2**0.5], [0.0, 0.0]])  # turns the first step to (0, sqrt(2))


def turned(quantizer, z_e):
    with ops.replayed_noise([NOISE]):
        return quantizer(z_e)


def test_training_steps_towards_the_code_in_a_noisy_direction(make, z_e):
    output = turned(make(DiVeQ), z_e)
    expected = torch.tensor([[[[1.0, 3.0]], [[1 + 2**0.5, 0.0]]]])
    torch.testing.assert_close(output.z_q.detach(), expected, rtol=1e-5, atol=1e-6)
    assert output.tokens.tolist() == [[[0, 1]]]
    assert output.loss.item() == 0.0
    assert output.terms["commitment"].item() == 1.0


def test_gradient_reaches_vector_and_code_through_the_length_of_the_step(make, z_e):
    quantizer = make(DiVeQ)
    upstream = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 2, 1, 2)
    turned(quantizer, z_e).z_q.backward(upstream)
    # upstream along the directions (0, 1) and (1, -1) / sqrt(2): 3 and -sqrt(2)
    first = 3 / 2**0.5
    expected = [1 + first, 2 + 1, 3 + first, 4 - 1]
    assert z_e.grad.flatten().tolist() == pytest.approx(expected, rel=1e-5)
    codes = torch.tensor([[-first, -first], [-1.0, 1.0], [0.0, 0.0]])
    torch.testing.assert_close(quantizer.codebook.grad, codes)


def test_noise_var_is_a_standard_deviation():
    torch.manual_seed(0)
    quantizer = DiVeQ(1, 2, DiVeQ.Settings(noise_var=1e-2))
    quantizer.codebook.data.copy_(torch.tensor([[1.0, 0.0]]))
    z_q = quantizer(torch.zeros(1, 2, 50, 50)).z_q
    assert z_q[:, 1].std().item() == pytest.approx(1e-2, rel=0.05)  # across the step of length 1
    assert z_q.norm(dim=1).sub(1).abs().max() < 1e-6


def test_without_noise_training_gives_the_code(make, z_e):
    output = make(DiVeQ, noise_var=0.0)(z_e)
    expected = torch.tensor([[[[0.0, 3.0]], [[0.0, 0.0]]]])
    torch.testing.assert_close(output.z_q.detach(), expected, atol=1e-6, rtol=0)


def test_evaluation_gives_the_code_and_draws_nothing(make, z_e):
    with ops.replayed_noise([]):
        output = make(DiVeQ).eval()(z_e)
    assert output.z_q.flatten().tolist() == [0.0, 3.0, 0.0, 0.0]


def test_vector_on_its_code_has_a_finite_gradient(make, codebook):
    z_e = ops.channels_first(codebook[1:].view(1, 1, 2, 2)).clone().requires_grad_()
    quantizer = make(DiVeQ)
    output = quantizer(z_e)
    output.z_q.sum().backward()
    assert torch.equal(output.z_q, z_e)
    assert z_e.grad.tolist() == torch.ones(1, 2, 1, 2).tolist()
    assert quantizer.codebook.grad.abs().max() == 0


def test_rare_codes_become_copies_of_the_drawn_codes(make, codebook, z_e):
    quantizer = make(DiVeQ, window=2, threshold=0.5)
    quantizer.update(z_e, FIRST)
    assert quantizer.used.tolist() == [1.0, 0.0, 0.0]
    with ops.replayed_noise([torch.tensor([1]), torch.full((1, 2), 1e9)]):
        quantizer.update(z_e, BOTH)
    torch.testing.assert_close(quantizer.codes()[2], torch.tensor([4.0, 1.0]))
    assert torch.equal(quantizer.codes()[:2], codebook[:2])
    assert quantizer.used.tolist() == [0.0, 0.0, 0.0]


def test_copies_are_drawn_in_proportion_to_use():
    torch.manual_seed(0)
    quantizer = DiVeQ(1002, 1, DiVeQ.Settings(window=4))
    quantizer.codebook.data.copy_(torch.arange(1002.0).view(-1, 1))
    for tokens in ([0, 1], [0, 0], [0, 0], [0, 0]):
        quantizer.update(torch.zeros(1, 1, 1, 2), torch.tensor([[tokens]]))
    copies = quantizer.codes().flatten().round()[2:]
    assert set(copies.tolist()) == {0.0, 1.0}
    assert copies.mean().item() == pytest.approx(1 / 5, abs=0.05)


@pytest.mark.parametrize(
    ("window", "threshold", "tokens"),
    [(0, 0.5, [0, 0]), (1, 1.0, [0, 1, 2]), (4, 0.5, [0, 1])],
    ids=["never", "all are used", "none is used enough"],
)
def test_nothing_is_replaced(make, codebook, window, threshold, tokens):
    quantizer = make(DiVeQ, window=window, threshold=threshold)
    z_e = torch.zeros(1, 2, 1, len(tokens))
    quantizer.updates.fill_(max(window - 1, 0))
    with ops.replayed_noise([]):
        quantizer.update(z_e, torch.tensor([[tokens]]))
    assert torch.equal(quantizer.codes(), codebook)


@pytest.mark.parametrize("kind", ["uniform", "normal"])
def test_codes_start_in_a_corner_of_size_one_over_k(kind):
    torch.manual_seed(0)
    codes = 64 * DiVeQ(64, 16, DiVeQ.Settings(codebook_init=kind)).codes()
    if kind == "uniform":
        assert 0 <= codes.min() < 0.05
        assert 0.95 < codes.max() < 1
    else:
        assert codes.std().item() == pytest.approx(1, rel=0.1)
