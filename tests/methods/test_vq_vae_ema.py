import pytest
import torch

from collapsebench.methods.vq_vae_ema import VQVAEEMA


def test_forward_by_hand(make, z_e):
    output = make(VQVAEEMA)(z_e)
    assert output.tokens.tolist() == [[[0, 1]]]
    assert output.z_q.flatten().tolist() == [0.0, 3.0, 0.0, 0.0]
    assert output.loss.item() == 0.25


def test_sonnet_update_by_hand(make, z_e):
    # The first debiased averages are the batch's own: counts (1, 1, 0), sums (1, 1), (2, 1), 0.
    quantizer = make(VQVAEEMA)
    quantizer.update(z_e.detach(), quantizer(z_e).tokens)
    smoothed = (1 + 1e-5) / (2 + 3e-5) * 2
    expected = torch.tensor([[1.0, 1.0], [2.0, 1.0], [0.0, 0.0]]) / smoothed
    torch.testing.assert_close(quantizer.codebook, expected)
    torch.testing.assert_close(quantizer.ema_counts, torch.tensor([0.01, 0.01, 0.0]))


def test_sonnet_second_update_weighs_the_batches_by_their_age(make, z_e):
    quantizer = make(VQVAEEMA, decay=0.5)
    tokens = torch.tensor([[[0, 0]]])
    quantizer.update(z_e.detach(), tokens)
    quantizer.update(3 * z_e.detach(), tokens)
    # weights 1/4 and 1/2 of sums (3, 2) and (9, 6), over weights times the two vectors
    expected = [(3 / 4 + 9 / 2) / 1.5, (2 / 4 + 6 / 2) / 1.5]
    assert quantizer.codebook[0].tolist() == pytest.approx(expected, rel=1e-4)


def test_zalando_update_by_hand(make, z_e):
    quantizer = make(VQVAEEMA, ema="zalando")
    quantizer.ema_sums.fill_(1.0)
    quantizer.update(z_e.detach(), quantizer(z_e).tokens)
    stored = torch.tensor([0.01001, 0.01001, 0.00001]) / 0.02003 * 0.02
    torch.testing.assert_close(quantizer.ema_counts, stored)
    sums = torch.tensor([[1.0, 1.0], [1.01, 1.0], [0.99, 0.99]])
    torch.testing.assert_close(quantizer.codebook, sums / stored[:, None])


def test_dead_codes_become_zero_in_sonnet_and_are_thrown_away_in_zalando(make, z_e):
    norms = {}
    for flavour in ("sonnet", "zalando"):
        torch.manual_seed(0)
        quantizer = make(VQVAEEMA, ema=flavour)
        quantizer.update(z_e.detach(), torch.tensor([[[0, 1]]]))
        norms[flavour] = quantizer.codebook[2].norm().item()
    assert norms["sonnet"] == 0.0
    assert norms["zalando"] > 1e4


def test_output_uses_the_codebook_from_before_the_update(make, z_e):
    quantizer = make(VQVAEEMA)
    output = quantizer(z_e)
    quantizer.update(z_e.detach(), output.tokens)
    assert output.z_q.flatten().tolist() == [0.0, 3.0, 0.0, 0.0]


def test_optimizer_does_not_own_the_codebook(make):
    assert make(VQVAEEMA).parameter_groups(1e-3)[0]["params"] == []


@pytest.mark.parametrize(("kind", "bound"), [("uniform", 1 / 64), ("sonnet", 0.75**0.5)])
def test_codebook_init_is_a_setting(kind, bound):
    torch.manual_seed(0)
    quantizer = VQVAEEMA(64, 4, VQVAEEMA.Settings(codebook_init=kind))
    assert 0.95 * bound < quantizer.codebook.abs().max() <= bound
