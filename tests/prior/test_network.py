import math

import pytest
import torch
from torch.nn import functional

from collapsebench.prior import PixelSNAIL
from collapsebench.prior.network import Attention, PixelBlock, Stem, pointwise
from collapsebench.settings import Prior, UserError


def small(codebook_size=7, height=4, width=5, codebooks=1, **settings):
    torch.manual_seed(0)
    settings = {"channels": 16, "blocks": 2, "layers": 2, "dropout": 0.0} | settings
    return PixelSNAIL(codebook_size, height, width, Prior(**settings), codebooks).double().eval()


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        # rosinality's network at 512 codes; masked weights are counted
        ({}, 84_873_280),
        ({"channels": 128}, 21_793_344),
        ({"channels": 64, "blocks": 2}, 3_147_296),
        ({"channels": 32, "blocks": 1, "layers": 2}, 450_384),
    ],
    ids=["paper", "small", "probe", "ci"],
)
def test_parameters_are_as_many_as_in_the_reference_code(settings, count):
    with torch.device("meta"):
        model = PixelSNAIL(512, 8, 8, Prior(**settings))
    assert sum(p.numel() for p in model.parameters()) == count


@pytest.mark.parametrize("grid", [(4, 5), (4, 5, 4)], ids=str)
def test_loss_at_initialisation_is_the_log_of_the_codebook_size(grid):
    model = small(512, *grid, channels=32)
    tokens = torch.randint(512, (8, *grid))
    assert functional.cross_entropy(model(tokens), tokens).item() == pytest.approx(
        math.log(512), abs=0.03
    )


def moved_by_each(model, tokens):
    """How far the logits at each place (in order of sampling) move if the token at each changes."""
    places = tokens.numel()
    many = tokens.expand(places, *tokens.shape[1:])
    changed = tokens.flatten().repeat(places, 1)
    changed.diagonal().add_(1).remainder_(7)
    moved = model(changed.view_as(many)) - model(many)
    return moved.flatten(2).abs().amax(1)


@pytest.mark.parametrize("center", ["strict", "inclusive"])
def test_logits_depend_on_exactly_the_positions_before(center):
    moved = moved_by_each(small(center=center), torch.randint(7, (1, 4, 5)))
    for p in range(19):
        assert moved[p, : p + 1].max() == 0
        # the stem reaches two columns to the right: from a row's end, not to the next one's start
        nearest = p + 1 if p % 5 < 4 else p + 3
        assert moved[p, nearest] > 1e-6


@pytest.mark.parametrize("center", ["strict", "inclusive"])
def test_with_several_codebooks_logits_depend_on_the_positions_before_and_the_depths_above(center):
    model = small(codebooks=3, center=center)
    moved = moved_by_each(model, torch.randint(7, (1, 4, 5, 3)))
    for place in range(59):  # position and depth in one number
        assert moved[place, : place + 1].max() == 0
        position = place // 3
        assert (moved[place, place + 1 : 3 * position + 3] > 1e-6).all()  # the depths below
        nearest = position + 1 if position % 5 < 4 else position + 3
        if nearest < 20:
            assert (moved[place, 3 * nearest : 3 * nearest + 3] > 1e-7).all()


@pytest.mark.parametrize("grid", [(4, 5), (4, 5, 3)], ids=str)
def test_a_grid_cut_off_below_has_the_same_logits(grid):
    model = small(7, *grid)
    tokens = torch.randint(7, (2, *grid))
    torch.testing.assert_close(model(tokens[:, :3]), model(tokens)[:, :, :3], rtol=0, atol=1e-12)


def test_stem_adds_up_what_the_tokens_of_several_codebooks_give():
    torch.manual_seed(0)
    stem = Stem(7, 16).double()
    tokens = torch.randint(7, (2, 6, 5, 3))
    each = sum(stem(tokens[..., q]) for q in range(3))
    bias = stem.bias(6, 5).permute(2, 0, 1)
    torch.testing.assert_close(stem(tokens), each - 2 * bias, rtol=0, atol=1e-12)


def test_stem_equals_convolutions_of_the_one_hot_tokens():
    torch.manual_seed(0)
    stem = Stem(7, 16).double()
    tokens = torch.randint(7, (2, 6, 5))
    one_hot = functional.one_hot(tokens, 7).permute(0, 3, 1, 2).double()
    above = stem.above(functional.pad(one_hot, (2, 2, 1, 0)))
    left = stem.left(functional.pad(one_hot, (1, 0, 2, 0)))
    down = functional.pad(above, (0, 0, 1, 0))[:, :, :-1]
    right = functional.pad(left, (1, 0))[..., :-1]
    torch.testing.assert_close(stem(tokens), down + right, rtol=0, atol=1e-12)


def test_attention_equals_a_masked_softmax_and_starts_with_zeros():
    torch.manual_seed(0)
    attention = Attention(6, 10, 16, dropout=0.0).double()
    query, key = torch.randn(2, 6, 3, 4).double(), torch.randn(2, 10, 3, 4).double()
    rows = [x.flatten(2).transpose(1, 2) for x in (query, key, key)]
    linears = (attention.query, attention.key, attention.value)
    q, k, v = (f(x).view(2, 12, 8, 2) for f, x in zip(linears, rows, strict=True))
    expected = torch.zeros(2, 12, 8, 2).double()
    for p in range(1, 12):
        scores = torch.einsum("bhd,bqhd->bhq", q[:, p], k[:, :p]) / math.sqrt(2)
        expected[:, p] = torch.einsum("bhq,bqhd->bhd", scores.softmax(2), v[:, :p])
    expected = expected.flatten(2).transpose(1, 2).view(2, 16, 3, 4)
    torch.testing.assert_close(attention(query, key), expected, rtol=0, atol=1e-12)


def test_masked_taps_get_no_gradient_and_stay_zero():
    model = small()
    tokens = torch.randint(7, (4, 4, 5))
    weight = model.blocks[0].layers[0].first.conv.parametrizations.weight.original1
    functional.cross_entropy(model(tokens), tokens).backward()
    assert weight[:, :, -1, 2:].abs().max() == 0
    assert weight.grad[:, :, -1, 2:].abs().max() == 0
    assert weight.grad[:, :, -1, :2].abs().min() > 0


def test_center_decides_whether_a_layer_sees_its_own_position():
    x = torch.randn(1, 16, 4, 5)
    for center, seen in (("strict", 0), ("inclusive", 1)):
        block = PixelBlock(Prior(channels=16, layers=1, center=center))
        moved = block.layers[0].first(x + torch.eye(5)[2] * torch.eye(4)[3][:, None])
        change = (moved - block.layers[0].first(x))[0, :, 3, 2].abs().max()
        assert (change > 1e-4) == seen


def test_a_pointwise_layer_is_normalised_per_output_channel():
    layer = pointwise(3, 2)
    with torch.no_grad():
        layer.parametrizations.weight.original0.fill_(2.0)
    norms = layer.weight.flatten(1).norm(dim=1)
    torch.testing.assert_close(norms, torch.full((2,), 2.0))


def test_channels_that_do_not_divide_into_heads_are_refused():
    with pytest.raises(UserError, match=r"prior\.channels.*40.*multiple of 16"):
        PixelSNAIL(7, 4, 4, Prior(channels=40))
