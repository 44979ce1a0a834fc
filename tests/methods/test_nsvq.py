import pytest
import torch

from collapsebench import ops
from collapsebench.methods.nsvq import NSVQ

BOTH, FIRST = torch.tensor([[[0, 1]]]), torch.tensor([[[0, 0]]])
NOISE = torch.tensor([[3.0, 4.0], [-2.0, 0.0]])  # directions (0.6, 0.8) and (-1, 0)


def noisy(quantizer, z_e):
    with ops.replayed_noise([NOISE]):
        return quantizer(z_e)


def test_training_adds_noise_as_long_as_the_error(make, z_e):
    # both errors are sqrt(2) long
    output = noisy(make(NSVQ), z_e)
    expected = torch.tensor([[[[1 + 0.6 * 2**0.5, 2 - 2**0.5]], [[1 + 0.8 * 2**0.5, 1.0]]]])
    torch.testing.assert_close(output.z_q.detach(), expected)
    assert output.tokens.tolist() == [[[0, 1]]]
    assert output.loss.item() == 0.0
    assert output.terms["commitment"].item() == 1.0


def test_evaluation_gives_the_code_and_draws_nothing(make, z_e):
    with ops.replayed_noise([]):
        output = make(NSVQ).eval()(z_e)
    assert output.z_q.flatten().tolist() == [0.0, 3.0, 0.0, 0.0]


def test_gradient_reaches_vector_and_code_through_the_length_of_the_error(make, z_e):
    quantizer = make(NSVQ)
    upstream = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 2, 1, 2)
    noisy(quantizer, z_e).z_q.backward(upstream)
    # upstream along the noise: 0.6 + 2.4 = 3 and -2; errors along (1, 1) and (-1, 1) / sqrt(2)
    first, second = 3 / 2**0.5, -2 / 2**0.5
    expected = [1 + first, 2 - second, 3 + first, 4 + second]
    assert z_e.grad.flatten().tolist() == pytest.approx(expected)
    codes = torch.tensor([[-first, -first], [second, -second], [0.0, 0.0]])
    torch.testing.assert_close(quantizer.codebook.grad, codes)


def test_vector_on_its_code_has_a_finite_gradient(make, codebook):
    z_e = ops.channels_first(codebook[1:].view(1, 1, 2, 2)).clone().requires_grad_()
    quantizer = make(NSVQ)
    output = quantizer(z_e)
    output.z_q.sum().backward()
    assert torch.equal(output.z_q, z_e)
    assert z_e.grad.tolist() == torch.ones(1, 2, 1, 2).tolist()
    assert quantizer.codebook.grad.abs().max() == 0


def test_use_is_counted_in_batches(make, z_e):
    quantizer = make(NSVQ)
    for tokens in (FIRST, BOTH):
        quantizer.update(z_e, tokens)
    assert quantizer.used.tolist() == [2.0, 1.0, 0.0]


def test_codes_used_enough_replace_the_others_in_order(make, codebook, z_e):
    quantizer = make(NSVQ, window=2, threshold=0.5)
    quantizer.update(z_e, FIRST)
    assert torch.equal(quantizer.codes(), codebook)
    with ops.replayed_noise([torch.ones(1, 2)]):
        quantizer.update(z_e, BOTH)
    assert torch.equal(quantizer.codes()[:2], codebook[:2])
    torch.testing.assert_close(quantizer.codes()[2], torch.full((2,), 1e-12), rtol=1e-3, atol=0)
    assert quantizer.used.tolist() == [0.0, 0.0, 0.0]


def test_too_few_used_codes_are_repeated_and_shuffled(make):
    quantizer = NSVQ(5, 1, NSVQ.Settings(window=1))
    quantizer.codebook.data.copy_(torch.arange(5.0).view(5, 1))
    with ops.replayed_noise([torch.tensor([3, 0, 2, 1]), torch.zeros(3, 1)]):
        quantizer.update(torch.zeros(1, 1, 1, 2), torch.tensor([[[4, 1]]]))
    # the donors 1, 4, 1, 4 in the drawn order: 4, 1, 1 for the codes 0, 2, 3
    assert quantizer.codes().flatten().tolist() == [4.0, 1.0, 1.0, 1.0, 4.0]


def test_nothing_moves_when_no_code_was_used_enough(make, codebook, z_e):
    quantizer = make(NSVQ, window=2, threshold=0.75)
    quantizer.update(z_e, torch.tensor([[[1, 1]]]))
    quantizer.update(z_e, torch.tensor([[[2, 2]]]))
    torch.testing.assert_close(quantizer.codes(), codebook)


def test_window_zero_never_replaces(make, codebook, z_e):
    quantizer = make(NSVQ, window=0)
    for _ in range(3):
        quantizer.update(z_e, FIRST)
    assert torch.equal(quantizer.codes(), codebook)


def test_windows_follow_one_another(make, z_e):
    quantizer = make(NSVQ, window=2)
    quantizer.update(z_e, BOTH)
    quantizer.update(z_e, BOTH)
    quantizer.codebook.data[2] = 7.0
    quantizer.update(z_e, FIRST)
    assert quantizer.codes()[2].tolist() == [7.0, 7.0]
    quantizer.update(z_e, FIRST)
    assert quantizer.codes()[1:].abs().max() < 1e-9


@pytest.mark.parametrize(("kind", "spread"), [("normal", 1.0), ("uniform", 3**-0.5 / 64)])
def test_codebook_init_is_a_setting(kind, spread):
    torch.manual_seed(0)
    quantizer = NSVQ(64, 16, NSVQ.Settings(codebook_init=kind))
    assert quantizer.codes().std().item() == pytest.approx(spread, rel=0.1)
