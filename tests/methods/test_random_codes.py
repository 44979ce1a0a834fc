import torch

from collapsebench.methods.random_codes import RandomCodes


def test_forward_by_hand(make, z_e):
    output = make(RandomCodes)(z_e)
    output.loss.backward()
    assert output.tokens.tolist() == [[[0, 1]]]
    assert output.z_q.flatten().tolist() == [0.0, 3.0, 0.0, 0.0]
    assert output.loss.item() == 0.25
    assert z_e.grad.flatten().tolist() == [0.125, -0.125, 0.125, 0.125]


def test_codes_never_learn(make, codebook, z_e):
    quantizer = make(RandomCodes)
    output = quantizer(z_e)
    (output.z_q.sum() + output.loss).backward()
    quantizer.initialize(z_e)
    quantizer.update(z_e, output.tokens)
    assert list(quantizer.parameters()) == []
    assert torch.equal(quantizer.codes(), codebook)


def test_codes_are_standard_normal():
    torch.manual_seed(0)
    codes = RandomCodes(512, 16, RandomCodes.Settings()).codes()
    assert abs(codes.mean().item()) < 0.05
    assert abs(codes.std().item() - 1) < 0.05
