import math

import pytest
import torch

from collapsebench import ops, settings
from collapsebench.methods.cvq_vae import CVQVAE, pulled
from collapsebench.settings import UserError

BOTH = torch.tensor([[[0, 1]]])


def test_forward_by_cosine_gives_the_code_itself(make, z_e):
    # (1, 1) is as similar to code 1 as to code 2 and takes the last; code 0 has no direction
    output = make(CVQVAE)(z_e)
    assert output.tokens.tolist() == [[[2, 1]]]
    assert output.z_q.flatten().tolist() == [0.0, 3.0, 4.0, 0.0]
    assert output.terms["commitment"].item() == 3.0
    assert output.loss.item() == 3.75


def test_forward_by_distance(make, z_e):
    output = make(CVQVAE, distance="l2")(z_e)
    assert output.tokens.tolist() == [[[0, 1]]]
    assert output.loss.item() == 1.25


@pytest.mark.parametrize("distance", ["cos", "l2"])
def test_a_tie_goes_to_the_highest_index(make, distance):
    quantizer = make(CVQVAE, distance=distance)
    quantizer.codebook.data.fill_(1.0)
    assert quantizer(torch.rand(1, 2, 3, 3)).tokens.unique().tolist() == [2]


def test_gradients_of_the_loss_by_hand(make, z_e):
    quantizer = make(CVQVAE, distance="l2", beta=0.5)
    quantizer(z_e).loss.backward()
    assert quantizer.codebook.grad.tolist() == [[-0.5, -0.5], [0.5, -0.5], [0.0, 0.0]]
    assert z_e.grad.flatten().tolist() == [0.25, -0.25, 0.25, 0.25]


def test_decoder_gradient_passes_straight_through(make, z_e):
    quantizer = make(CVQVAE)
    upstream = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 2, 1, 2)
    quantizer(z_e).z_q.backward(upstream)
    assert torch.equal(z_e.grad, upstream)
    assert quantizer.codebook.grad is None


def alpha(share, codes=2, decay=0.99):
    """The pull on a code of that moving share: where a code at 0 goes between 0 and 1."""
    shares = torch.full((codes,), share)
    return pulled(torch.zeros(codes, 1), shares, torch.ones(codes, 1), decay)[0].item()


def test_pull_by_hand():
    assert alpha(0.0) == pytest.approx(math.exp(-1e-3))
    assert alpha(math.log(2) / 2000) == pytest.approx(math.exp(-1e-3) / 2)
    assert alpha(math.log(2) / 2000, codes=4) == pytest.approx(math.exp(-1e-3) / 4)
    assert alpha(math.log(2) / 2000, decay=0.98) == pytest.approx(math.exp(-1e-3) / 2**0.5)
    halfway = pulled(
        torch.tensor([[2.0, 4.0]]), torch.tensor([math.log(2) / 1000]), torch.zeros(1, 2), 0.99
    )
    assert halfway.tolist()[0] == pytest.approx([1.001, 2.002], abs=1e-5)


@pytest.mark.parametrize(("pull", "steps"), [(0.01, 536), (0.5, 724)])
def test_evenly_used_code_is_pulled_back_so_long_after_it_was_abandoned(pull, steps):
    assert alpha(0.99 ** (steps - 1) / 64, codes=64) < pull <= alpha(0.99**steps / 64, codes=64)


def test_update_by_hand(make, z_e):
    # the vectors nearest to the codes are (1, 1), (2, 1), (1, 1); used codes feel exp(-15)
    quantizer = make(CVQVAE, distance="l2")
    quantizer.update(z_e.detach(), BOTH)
    torch.testing.assert_close(quantizer.ema_shares, torch.tensor([0.005, 0.005, 0.0]))
    used, unused = math.exp(-15.001), math.exp(-0.001)
    expected = [[used, used], [3 - used, used], [unused, 4 - 3 * unused]]
    torch.testing.assert_close(quantizer.codebook.detach(), torch.tensor(expected))


def test_anchors_come_from_the_current_codes(make, z_e):
    quantizer = make(CVQVAE, distance="l2")
    quantizer.codebook.data[2] = torch.tensor([5.0, 1.0])
    quantizer.update(z_e.detach(), BOTH)
    torch.testing.assert_close(quantizer.codes()[2], torch.tensor([2.0, 1.0]), atol=4e-3, rtol=0)


def test_closest_anchors_start_the_codebook_with_near_duplicates():
    torch.manual_seed(0)
    quantizer = CVQVAE(64, 2, CVQVAE.Settings())
    z_e = torch.randn(1, 2, 4, 4)
    tokens = quantizer(z_e).tokens
    quantizer.update(z_e, tokens)
    rounded = (quantizer.codes() * 10).round()
    assert len(rounded.unique(dim=0)) <= 16 + len(tokens.unique())


def test_probrandom_anchor_is_the_drawn_vector(make, z_e):
    quantizer = make(CVQVAE, anchor="probrandom")
    with ops.replayed_noise([torch.tensor([[0], [0], [1]])]):
        quantizer.update(z_e.detach(), BOTH)
    torch.testing.assert_close(quantizer.codes()[2], torch.tensor([2.0, 1.0]), atol=4e-3, rtol=0)


def test_probrandom_draws_by_the_softmax_over_the_batch(make):
    quantizer = make(CVQVAE, anchor="probrandom", distance="l2")
    quantizer.codebook.data[1] = torch.tensor([20.0, 0.0])
    z_e = torch.tensor([[[[0.0, 30.0]], [[0.0, 0.0]]]])  # each code is far closer to one of them
    quantizer.update(z_e, torch.tensor([[[2, 2]]]))
    expected = torch.tensor([[0.0, 0.0], [30.0, 0.0]])
    torch.testing.assert_close(quantizer.codes()[:2], expected, atol=0.02, rtol=0)


def test_pool_fills_up_and_then_overwrites_random_rows(make, z_e):
    quantizer = make(CVQVAE, anchor="random")
    for _ in range(2):
        quantizer.update(z_e.detach(), BOTH)
    assert quantizer.pool.tolist() == [[1.0, 1.0], [2.0, 1.0], [1.0, 1.0]]
    with ops.replayed_noise([torch.tensor([1, 2, 0])]):
        quantizer.update(3 * z_e.detach(), BOTH)
    assert quantizer.pool.tolist() == [[1.0, 1.0], [3.0, 3.0], [6.0, 3.0]]


def test_pool_is_drawn_anew_from_a_batch_larger_than_it(make):
    quantizer = make(CVQVAE, anchor="random")
    z_e = torch.arange(8.0).view(1, 2, 1, 4)
    with ops.replayed_noise([torch.tensor([3, 3, 0])]):
        quantizer.update(z_e, torch.zeros(1, 1, 4, dtype=torch.int64))
    assert quantizer.pool.tolist() == [[3.0, 7.0], [3.0, 7.0], [0.0, 4.0]]
    torch.testing.assert_close(quantizer.codes()[2], torch.tensor([0.0, 4.0]), atol=4e-3, rtol=0)


def test_codes_start_within_one_over_k():
    torch.manual_seed(0)
    largest = CVQVAE(64, 4, CVQVAE.Settings()).codes().abs().max().item()
    assert 0.95 / 64 < largest <= 1 / 64


def test_evaluation_leaves_codes_and_shares_alone(make, codebook, z_e):
    quantizer = make(CVQVAE).eval()
    quantizer(z_e)
    assert torch.equal(quantizer.codes(), codebook)
    assert quantizer.ema_shares.tolist() == [0.0, 0.0, 0.0]


def test_a_decay_of_one_is_refused():
    with pytest.raises(UserError, match=r"method\.decay.*less than 1"):
        settings.build(CVQVAE.Settings, {"decay": 1.0}, "method")


def test_pixel_variance_divides_the_reconstruction_error(make):
    x, x_hat = torch.zeros(1, 3, 2, 2), torch.full((1, 3, 2, 2), 0.5)
    assert make(CVQVAE, pixel_variance=0.5).reconstruction_loss(x_hat, x).item() == 0.5
