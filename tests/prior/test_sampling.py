import itertools

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from collapsebench.prior import PixelSNAIL, sample, sample_naive, sampling, teacher_forced
from collapsebench.settings import Prior

CPU = torch.device("cpu")


def random_model(codebook_size, height, width, codebooks=1, *, blocks=2, center="strict"):
    """All weights, gains and biases moved: zero biases would hide shift errors."""
    torch.manual_seed(0)
    settings = Prior(channels=16, blocks=blocks, layers=2, center=center)
    model = PixelSNAIL(codebook_size, height, width, settings, codebooks).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


@torch.no_grad()
def error(model, tokens):
    return (teacher_forced(model, tokens) - model(tokens)).abs().max().item()


@pytest.mark.parametrize("center", ["strict", "inclusive"])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(
    "shape",
    [(1, 1), (1, 5), (5, 1), (6, 9), (8, 8), (1, 1, 2), (5, 1, 2), (6, 9, 4),
     pytest.param((16, 16), marks=pytest.mark.slow)],
    ids=str,
)  # fmt: skip
def test_cached_logits_equal_the_full_forward_at_every_position(shape, batch, center):
    tokens = torch.randint(7, (batch, *shape))
    model = random_model(7, *shape, center=center)
    assert error(model, tokens) <= 1e-10
    model.float()
    with torch.no_grad():
        scale = max(1.0, model(tokens).abs().max().item())
    assert error(model, tokens) <= 1e-5 * scale


def bias_in_row_0(cache):
    cache.stem.bias[0] += cache.stem.stem.above.bias


def rows_in_the_wrong_order(cache):
    above = cache.blocks[0].first.above
    above[0] = above[0].flip(2)


def no_taps_in_the_current_row(cache):
    cache.blocks[-1].second.left[-1].zero_()


def coordinates_swapped(cache):
    for block in cache.blocks:
        block.coordinates = block.coordinates.flip(-1)


def no_attention_in_one_block(cache):
    cache.blocks[0].attend = lambda query, key, position: query.new_zeros(len(query), 8)


def depths_see_nothing_above(cache):
    cache.depths[-1].embedding = lambda tokens: 0.0


def codebooks_mixed_up_in_the_stem(cache):
    cache.stem.codebook_size = 0


@pytest.mark.parametrize(
    "mutate",
    [
        bias_in_row_0,
        rows_in_the_wrong_order,
        no_taps_in_the_current_row,
        coordinates_swapped,
        no_attention_in_one_block,
        depths_see_nothing_above,
        codebooks_mixed_up_in_the_stem,
    ],
)
def test_a_wrong_cache_exceeds_the_tolerance(monkeypatch, mutate):
    class Mutated(sampling.Cache):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            mutate(self)

    monkeypatch.setattr(sampling, "Cache", Mutated)
    tokens = torch.randint(7, (2, 6, 9, 2))
    assert error(random_model(7, 6, 9, 2), tokens) > 1e-4  # the float32 gate is 1e-5 per logit of 1


@pytest.mark.parametrize("center", ["strict", "inclusive"])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("shape", [(6, 5), (4, 3, 2)], ids=str)
def test_naive_sampling_draws_the_same_tokens(shape, center, temperature):
    model = random_model(7, *shape, center=center)
    options = {"seed": 3, "temperature": temperature, "device": CPU}
    cached = sample(model, 12, **options)
    assert np.array_equal(cached, sample_naive(model, 12, **options))
    assert cached.shape == (12, *shape)
    assert cached.dtype == np.int64
    assert len(np.unique(cached)) == 7


def test_samples_depend_on_neither_batch_size_nor_count_nor_earlier_runs():
    model = random_model(7, 6, 5).float()
    whole = sample(model, 10, seed=5, device=CPU)
    assert np.array_equal(whole, sample(model, 10, seed=5, device=CPU))
    for batch_size in (1, 4, 6):
        assert np.array_equal(whole, sample(model, 10, seed=5, batch_size=batch_size, device=CPU))
    assert np.array_equal(whole[:4], sample(model, 4, seed=5, device=CPU))
    assert not np.array_equal(whole, sample(model, 10, seed=6, device=CPU))


@pytest.mark.parametrize("shape", [(2, 2), (1, 2, 2)], ids=str)
def test_samples_follow_the_distribution_over_all_81_grids(shape):
    model = random_model(3, *shape, blocks=1)
    grids = torch.tensor(list(itertools.product(range(3), repeat=4))).view(81, *shape)
    with torch.no_grad():
        log_p = torch.log_softmax(model(grids), 1)
    p = log_p.gather(1, grids[:, None]).flatten(1).sum(1).exp().numpy()
    assert p.sum() == pytest.approx(1.0, abs=1e-9)

    count = 20_000
    drawn = sample(model, count, seed=0, batch_size=5_000, device=CPU).reshape(count, 4)
    counts = np.bincount(drawn @ [27, 9, 3, 1], minlength=81)
    assert (p * count).min() >= 5  # or chi-square is no approximation
    assert chisquare(counts, p * count).pvalue > 0.01
    assert chisquare(counts, np.roll(p, 1) * count).pvalue < 1e-6


def test_no_full_forward_and_one_row_convolution_per_layer_and_row(monkeypatch):
    model = random_model(7, 6, 5)
    forwards, convolutions = [], []
    convolve = sampling.functional.conv2d
    monkeypatch.setattr(PixelSNAIL, "forward", lambda *arguments: forwards.append(1))
    monkeypatch.setattr(
        sampling.functional,
        "conv2d",
        lambda *arguments: convolutions.append(1) or convolve(*arguments),
    )
    sample(model, 2, seed=0, device=CPU)
    layers = 2 * 2 * 2  # blocks, layers, convolutions in a layer
    assert len(convolutions) == layers * 6
    assert not forwards


def test_draw_inverts_the_distribution_function():
    logits = torch.tensor([0.2, 0.5, 0.0, 0.3]).log().expand(5, 4)
    noise = torch.tensor([0.0, 0.19, 0.21, 0.71, 0.9999999], dtype=torch.float64)
    assert sampling.draw(logits, noise, 1.0).tolist() == [0, 0, 1, 3, 3]
    # at temperature 1/2 the probabilities are squared: 4/38, 25/38, 0, 9/38
    assert sampling.draw(logits, noise, 0.5).tolist() == [0, 1, 1, 1, 3]


def test_progress_counts_grids():
    seen = []
    sample(
        random_model(3, 2, 2),
        5,
        seed=0,
        batch_size=2,
        device=CPU,
        progress=lambda *counts: seen.append(counts),
    )
    assert seen == [(2, 5), (4, 5), (5, 5)]
