from dataclasses import dataclass

import pytest
import torch

from collapsebench import ops
from collapsebench.author import promises
from collapsebench.methods.rq_vae import RQVAE

# Of the vectors (1, 1) and (2, 1), codes (0, 0) and (3, 0) leave (1, 1) and (-1, 1) over.
SECOND = torch.tensor([[1.0, 1.0], [-1.0, 0.0], [9.0, 9.0]])


@pytest.fixture
def two(codebook):
    """Builds RQ-VAE with two depths of three codes in the plane."""

    def build(**settings):
        quantizer = RQVAE(3, 2, RQVAE.Settings(depth=2, **settings))
        tables = torch.stack([codebook, SECOND])[: len(quantizer.codebook)]
        quantizer.codebook.copy_(tables)
        quantizer.ema_sums.copy_(tables)
        return quantizer

    return build


def test_forward_by_hand(two, z_e):
    output = two()(z_e)
    assert output.tokens.tolist() == [[[[0, 0], [1, 1]]]]
    assert output.z_q.flatten().tolist() == [1.0, 2.0, 1.0, 0.0]
    # squared errors: all 1 after the first depth, then 0, 0, 0, 1
    assert output.terms["commitment"].item() == (1 + 0.25) / 2
    assert output.loss.item() == 0.25 * 0.625


def test_gradients_by_hand(two, z_e):
    quantizer = two(beta=1.0)
    quantizer(z_e).loss.backward()
    # mean over 2 depths and 4 elements of 2 (z_e - sum): (1, 1) + (0, 0) and (-1, 1) + (0, 1)
    assert z_e.grad.flatten().tolist() == [0.25, -0.25, 0.25, 0.5]
    z_e.grad = None
    upstream = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 2, 1, 2)
    quantizer(z_e).z_q.backward(upstream)
    assert torch.equal(z_e.grad, upstream)


def test_each_depth_learns_from_what_the_one_before_left_over(two, z_e):
    quantizer = two(decay=0.5, threshold=0.0)
    quantizer.ema_counts.fill_(1.0)
    quantizer.update(z_e.detach(), quantizer(z_e).tokens)
    counts = torch.tensor([[1.0, 1.0, 0.5], [1.0, 1.0, 0.5]])
    torch.testing.assert_close(quantizer.ema_counts, counts)
    # halves of the code and of its vector: (1, 1), (2, 1), then (1, 1), (-1, 1)
    sums = [[[0.5, 0.5], [2.5, 0.5], [0.0, 2.0]], [[1.0, 1.0], [-1.0, 0.5], [4.5, 4.5]]]
    torch.testing.assert_close(quantizer.ema_sums, torch.tensor(sums))
    expected = torch.tensor(sums) / counts[..., None]
    torch.testing.assert_close(quantizer.codebook, expected, rtol=1e-4, atol=0)


def test_rare_codes_are_replaced_and_their_averages_reset(two, z_e):
    # two vectors for three codes: repeated once, moved by 0.01 / sqrt(2), then shuffled
    noise, order = torch.full((4, 2), 0.5), torch.tensor([3, 0, 1, 2])
    quantizer = two()
    with ops.replayed_noise([noise, order, noise, order]):
        quantizer.update(z_e.detach(), quantizer(z_e).tokens)
    first, second = ([[2.0, 1.0], [1.0, 1.0], [2.0, 1.0]], [[-1.0, 1.0], [1.0, 1.0], [-1.0, 1.0]])
    expected = torch.tensor([first, second]) + 0.005 / 2**0.5
    torch.testing.assert_close(quantizer.codebook, expected)
    torch.testing.assert_close(quantizer.ema_sums, expected)
    assert torch.equal(quantizer.ema_counts, torch.ones(2, 3))


def test_at_the_first_step_a_hundred_wins_keep_a_code():
    quantizer = RQVAE(2, 1, RQVAE.Settings(depth=1))
    quantizer.codebook.copy_(torch.tensor([[[0.0], [9.0]]]))
    quantizer.ema_sums.copy_(quantizer.codebook)
    z_e = torch.cat([torch.full((100,), 1.0), torch.full((99,), 8.0)]).view(1, 1, 1, 199)
    quantizer.update(z_e, quantizer(z_e).tokens)
    assert quantizer.ema_counts[0].tolist() == pytest.approx([1.0, 1.0])
    assert quantizer.ema_sums[0, 0].item() == pytest.approx(1.0)  # 0.99 * 0 + 0.01 * 100
    assert quantizer.ema_sums[0, 1].item() in (1.0, 8.0)  # not 0.99 * 9 + 0.01 * 792


def test_without_a_threshold_nothing_is_drawn(two, z_e):
    quantizer = two(threshold=0.0)
    with ops.replayed_noise([]):
        quantizer.update(z_e.detach(), quantizer(z_e).tokens)
    assert quantizer.codebook[0, 2].norm() > 1e4  # a code that never won: its sum over epsilon


def test_a_shared_codebook_counts_the_wins_of_all_depths(two, z_e):
    quantizer = two(shared=True, decay=0.5, threshold=0.0)
    output = quantizer(z_e)
    assert output.tokens.tolist() == [[[[0, 0], [1, 0]]]]
    quantizer.update(z_e.detach(), output.tokens)
    # code 0 won (1, 1), then what it left of it, (1, 1), and (-1, 1); code 1 won (2, 1)
    torch.testing.assert_close(quantizer.ema_counts, torch.tensor([[1.5, 0.5, 0.0]]))
    sums = torch.tensor([[[0.5, 1.5], [2.5, 0.5], [0.0, 2.0]]])
    torch.testing.assert_close(quantizer.ema_sums, sums)
    assert quantizer.codes().shape == (2, 3, 2)
    assert torch.equal(*quantizer.codes())


def test_a_further_depth_never_makes_the_error_larger_if_zero_is_a_code():
    torch.manual_seed(0)
    z_e = torch.randn(4, 3, 5, 5)
    quantizer = RQVAE(8, 3, RQVAE.Settings(depth=5))
    quantizer.codebook[:, 0] = 0.0
    errors = []
    for depth in range(1, 6):
        shorter = RQVAE(8, 3, RQVAE.Settings(depth=depth))
        shorter.codebook.copy_(quantizer.codebook[:depth])
        errors.append((z_e - shorter(z_e).z_q).square().mean().item())
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < errors[0] / 2


@dataclass(frozen=True)
class Single(RQVAE.Settings):
    depth: int = 1


@dataclass(frozen=True)
class Shared(RQVAE.Settings):
    shared: bool = True


@pytest.mark.parametrize("kind", [Single, Shared])
def test_other_settings_keep_the_contract_too(kind):
    class Variant(RQVAE):
        Settings = kind

    assert set(promises.run(Variant).values()) == {""}


def test_one_depth_gives_tokens_and_codes_without_an_axis_of_depths(z_e):
    quantizer = RQVAE(3, 2, RQVAE.Settings(depth=1))
    assert quantizer.codebooks == 1
    assert quantizer(z_e).tokens.shape == (1, 1, 2)
    assert quantizer.codes().shape == (3, 2)
