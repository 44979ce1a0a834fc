import pytest
import torch

from collapsebench.methods.sim_vq import SimVQ

MIRRORED = [[1.0, 0.0], [1.0, 3.0], [5.0, 0.0]]  # the codes that `mirroring` makes


@pytest.fixture
def mirroring(codebook):
    """Builds the method on the frozen codebook of three, W exchanging axes, b = (1, 0)."""

    def build(**settings):
        quantizer = SimVQ(3, 2, SimVQ.Settings(**settings))
        quantizer.frozen.copy_(codebook)
        quantizer.projection.weight.data.copy_(torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
        if quantizer.projection.bias is not None:
            quantizer.projection.bias.data.copy_(torch.tensor([1.0, 0.0]))
        return quantizer

    return build


def test_forward_by_hand(mirroring, z_e):
    # differences (0, 1) and (1, 1): mean square 3/4
    output = mirroring()(z_e)
    assert output.tokens.tolist() == [[[0, 0]]]
    assert output.z_q.flatten().tolist() == [1.0, 1.0, 0.0, 0.0]
    assert output.loss.item() == 0.75 * 1.25


def test_tokens_stand_for_the_projected_codes_not_for_the_frozen_rows(mirroring):
    quantizer = mirroring()
    assert quantizer.codes().tolist() == MIRRORED
    assert quantizer.embed(torch.tensor([[[2, 1]]])).flatten().tolist() == [5.0, 1.0, 0.0, 3.0]


@pytest.mark.parametrize(("legacy", "on_z", "on_codes"), [(False, 0.5, 1.0), (True, 1.0, 0.5)])
def test_legacy_puts_beta_on_the_other_side(mirroring, z_e, legacy, on_z, on_codes):
    quantizer = mirroring(beta=0.5, legacy=legacy)
    quantizer(z_e).loss.backward()
    # 2/4 of the differences at z_e; both vectors took the frozen row 0, so only b feels them
    assert z_e.grad.flatten().tolist() == [0.0, 0.5 * on_z, 0.5 * on_z, 0.5 * on_z]
    assert quantizer.projection.bias.grad.tolist() == [-0.5 * on_codes, -1.0 * on_codes]
    assert quantizer.projection.weight.grad.abs().max() == 0


def test_one_used_code_moves_all_others(mirroring, z_e):
    quantizer = mirroring()
    optimizer = torch.optim.SGD(quantizer.parameters(), lr=0.5)
    quantizer(z_e).loss.backward()
    optimizer.step()
    moved = torch.tensor([0.25, 0.5])  # b moves against its gradient
    torch.testing.assert_close(quantizer.codes(), torch.tensor(MIRRORED) + moved)


def test_decoder_gradient_passes_straight_through(mirroring, z_e):
    quantizer = mirroring()
    upstream = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 2, 1, 2)
    quantizer(z_e).z_q.backward(upstream)
    assert torch.equal(z_e.grad, upstream)
    assert quantizer.projection.weight.grad is None


def test_without_bias_the_code_of_a_zero_row_stays_at_zero(mirroring):
    quantizer = mirroring(bias=False)
    assert quantizer.codes().tolist() == [[0.0, 0.0], [0.0, 3.0], [4.0, 0.0]]
    assert len(list(quantizer.parameters())) == 1


def test_only_the_layer_learns_and_starts_as_torchs():
    torch.manual_seed(0)
    quantizer = SimVQ(512, 16, SimVQ.Settings())
    assert [name for name, _ in quantizer.named_parameters()] == [
        "projection.weight",
        "projection.bias",
    ]
    assert quantizer.frozen.std().item() == pytest.approx(0.25, rel=0.05)
    largest = max(p.abs().max().item() for p in quantizer.parameters())
    assert 0.95 * 0.25 < largest <= 0.25
