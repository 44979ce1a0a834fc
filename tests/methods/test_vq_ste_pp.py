import pytest
import torch

from collapsebench import ops
from collapsebench.methods.vq_ste_pp import VQSTEPP
from collapsebench.quantizer import Incompatible

PLAIN = {"affine_lr": 0.0, "nu": 0.0, "kmeans": False}


def test_losses_by_hand(make, z_e):
    # both mean squared differences are 1: the share only says whom they move
    quantizer = make(VQSTEPP, codebook_share=0.75, commitment=2.0, **PLAIN)
    output = quantizer(z_e)
    output.loss.backward()
    assert output.loss.item() == 2.0
    assert quantizer.codebook.grad[0].tolist() == [-0.75, -0.75]
    assert z_e.grad.flatten().tolist() == [0.25, -0.25, 0.25, 0.25]


def test_synchronised_update_gives_the_code_nu_times_the_gradient(make, z_e):
    quantizer = make(VQSTEPP, nu=0.25, affine_lr=0.0)
    upstream = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 2, 1, 2)
    quantizer(z_e).z_q.backward(upstream)
    assert torch.equal(z_e.grad, upstream)
    assert quantizer.codebook.grad.tolist() == [[0.25, 0.75], [0.5, 1.0], [0.0, 0.0]]


def test_affine_codes_by_hand(make, z_e):
    quantizer = make(VQSTEPP, affine_lr=10.0)
    quantizer.scale.data.fill_(0.1)  # gain 2
    quantizer.bias.data.copy_(torch.tensor([[0.05, -0.1]]))  # shift (0.5, -1)
    assert quantizer.codes().tolist() == [[0.5, -1.0], [6.5, -1.0], [0.5, 7.0]]
    output = quantizer(z_e)
    assert output.tokens.flatten().tolist() == [0, 0]
    assert output.z_q.flatten().tolist() == [0.5, 0.5, -1.0, -1.0]


def test_groups_are_contiguous():
    quantizer = VQSTEPP(4, 2, VQSTEPP.Settings(groups=2, affine_lr=1.0))
    quantizer.codebook.data.zero_()
    quantizer.bias.data.copy_(torch.tensor([[1.0, 1.0], [2.0, 2.0]]))
    assert quantizer.codes()[:, 0].tolist() == [1.0, 1.0, 2.0, 2.0]


def test_groups_must_divide_the_codebook():
    with pytest.raises(Incompatible, match="3 codes do not split into 2 groups"):
        VQSTEPP(3, 2, VQSTEPP.Settings(groups=2))


def test_initialize_puts_codes_among_the_vectors():
    torch.manual_seed(0)
    quantizer = VQSTEPP(4, 2, VQSTEPP.Settings())
    corners = torch.tensor([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0], [9.0, 9.0]])
    quantizer.initialize(ops.channels_first(corners.view(1, 2, 2, 2)))
    assert sorted(quantizer.codes().tolist()) == sorted(corners.tolist())


def test_initialize_does_nothing_without_kmeans(make, codebook, z_e):
    quantizer = make(VQSTEPP, kmeans=False)
    quantizer.initialize(z_e)
    assert torch.equal(quantizer.codes(), codebook)


def test_alternated_step_by_hand(make, codebook, z_e):
    # gradient 2/4 (c - z) = (-0.5, -0.5), (0.5, -0.5); rate 50, then momentum 0.9
    quantizer = make(VQSTEPP, alternate=True, **PLAIN)
    tokens = torch.tensor([[[0, 1]]])
    quantizer.update(z_e.detach(), tokens)
    assert quantizer.codes()[:2].tolist() == [[25.0, 25.0], [-22.0, 25.0]]
    quantizer.codebook.data.copy_(codebook)
    quantizer.update(z_e.detach(), tokens)
    assert quantizer.codes()[0].tolist() == pytest.approx([47.5, 47.5])


def test_alternation_takes_the_codebook_from_the_main_optimizer(make, z_e):
    quantizer = make(VQSTEPP, alternate=True)
    output = quantizer(z_e)
    (output.z_q.sum() + output.loss).backward()
    assert quantizer.codebook.grad is None
    assert quantizer.scale.grad is not None
    names = [p is quantizer.codebook for p in quantizer.parameter_groups(1e-3)[0]["params"]]
    assert names == [False, False]


def test_alternated_step_with_affine_codes_descends_their_own_distance(make, z_e):
    quantizer = make(VQSTEPP, alternate=True, kmeans=False, affine_lr=1.0)
    quantizer.scale.data.fill_(0.5)
    tokens, before = torch.tensor([[[0, 1]]]), quantizer.codebook.detach().clone()
    codes = before.requires_grad_()
    distance = (ops.lookup(1.5 * codes, tokens) - z_e.detach()).square().mean()
    (gradient,) = torch.autograd.grad(distance, codes)
    quantizer.update(z_e.detach(), tokens)
    torch.testing.assert_close(quantizer.codebook, before.detach() - 50 * gradient)


def test_unused_code_is_replaced_after_its_lifetime(make, codebook, z_e):
    quantizer = make(VQSTEPP, replace=2, **PLAIN)
    tokens = torch.tensor([[[0, 1]]])
    quantizer.update(z_e.detach(), tokens)
    assert torch.equal(quantizer.codes(), codebook)
    with ops.replayed_noise([torch.tensor([1, 0]), torch.ones(3, 2)]):
        quantizer.update(z_e.detach(), tokens)
    # the donor is (2, 1), of norm sqrt(5)
    expected = [2 + 0.01 * 5**0.5, 1 + 0.01 * 5**0.5]
    assert quantizer.codes()[2].tolist() == pytest.approx(expected)
    assert torch.equal(quantizer.codes()[:2], codebook[:2])
    assert quantizer.lifetime.tolist() == [2, 2, 2]


def test_nothing_is_replaced_by_default(make, codebook, z_e):
    quantizer = make(VQSTEPP, **PLAIN)
    for _ in range(50):
        quantizer.update(z_e.detach(), torch.tensor([[[0, 1]]]))
    assert torch.equal(quantizer.codes(), codebook)
