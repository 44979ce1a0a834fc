"""Codebook metrics against sums done by hand and against simulation."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch

from collapsebench import metrics


@pytest.mark.parametrize(
    ("counts", "perplexity", "usage", "dead", "collapsed"),
    [
        pytest.param([7, 0, 0, 0], 1.0, 0.25, 3, True, id="one code"),
        pytest.param([3, 3, 3, 3], 4.0, 1.0, 0, False, id="uniform"),
        pytest.param([5, 5, 0, 0], 2.0, 0.5, 2, False, id="half, just not collapsed"),
        pytest.param([2, 1, 1, 0], 2 * math.sqrt(2), 0.75, 1, False, id="1/2 1/4 1/4"),
    ],
)
def test_counts_by_hand(counts, perplexity, usage, dead, collapsed):
    counts = np.array(counts)
    assert metrics.perplexity(counts) == pytest.approx(perplexity)
    assert metrics.relative_perplexity(counts) == pytest.approx(perplexity / 4)
    assert metrics.usage(counts) == usage
    assert metrics.dead_codes(counts) == dead
    assert metrics.collapsed(counts) is collapsed


def test_full_use_with_a_low_perplexity_is_collapse():
    counts = np.ones(100, dtype=np.int64)
    counts[0] = 10_000
    assert metrics.usage(counts) == 1
    assert metrics.relative_perplexity(counts) < metrics.COLLAPSED_RELATIVE_PERPLEXITY
    assert metrics.collapsed(counts)


def test_tokens_are_counted_whatever_their_shape_and_type():
    tokens = np.array([[[0, 2], [2, 3]]], dtype=np.uint8)
    assert metrics.counts(tokens, 5).tolist() == [1, 0, 2, 1, 0]
    assert metrics.counts(tokens.astype(np.uint64), 5).tolist() == [1, 0, 2, 1, 0]


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        pytest.param([0.0, 1.0], "integers, not float64", id="floats"),
        pytest.param([0, -1], "-1 is negative", id="negative"),
        pytest.param([0, 4], "4 is outside a codebook of 4 codes", id="too large"),
    ],
)
def test_bad_tokens_are_refused(tokens, message):
    with pytest.raises(ValueError, match=message):
        metrics.counts(tokens, 4)


def test_padding_is_no_token():
    tokens = np.array([[0, 2, 255], [255, 255, 1]], dtype=np.uint8)
    assert metrics.counts(tokens, 3, ignore=255).tolist() == [1, 1, 1]
    assert metrics.counts(tokens, 256, ignore=-1).sum() == 6  # none is -1
    with pytest.raises(ValueError, match="255 is outside"):
        metrics.counts(tokens, 3)


def test_no_tokens_have_no_entropy():
    with pytest.raises(ValueError, match="no tokens"):
        metrics.perplexity(np.zeros(4, dtype=np.int64))


def test_batch_mean_drops_the_last_partial_batch_and_is_biased():
    # batches {0,0}, {1,1} have perplexity 1 each, pooled they have 2; the fifth row is dropped
    tokens = np.array([0, 0, 1, 1, 1]).reshape(5, 1, 1)
    assert metrics.perplexity_batch_mean(tokens, 2, batch_size=2) == 1.0
    assert metrics.perplexity(metrics.counts(tokens[:4], 2)) == pytest.approx(2.0)
    assert math.isnan(metrics.perplexity_batch_mean(tokens, 2))


def test_batch_mean_skips_padding_and_batches_of_nothing_else():
    # perplexities 1 and 2 of the first and the last batch; the middle one is all padding
    tokens = np.array([[0, -1], [0, 0], [-1, -1], [-1, -1], [0, 1], [-1, -1]])
    assert metrics.perplexity_batch_mean(tokens, 2, batch_size=2, ignore=-1) == 1.5


def test_flat_tokens_have_no_batch_of_rows():
    tokens = np.random.default_rng(0).integers(0, 512, 20_000)
    assert math.isnan(metrics.perplexity_batch_mean(tokens, 512))
    assert math.isnan(metrics.codebook_metrics(tokens, 512)["perplexity_batch_mean"])
    assert metrics.codebook_metrics(tokens[:, None], 512)["perplexity_batch_mean"] < 128


@pytest.mark.parametrize(("n", "size"), [(17, 3), (2, 2), (500, 40), (100, 1000), (3000, 1000)])
def test_ceilings_are_what_uniform_use_gives_on_average(n, size):
    rng = np.random.default_rng(n)
    drawn = rng.multinomial(n, np.full(size, 1 / size), 4000)
    best = metrics.ceilings(n, size)
    entropy = np.array([metrics.entropy(counts) for counts in drawn])
    spread = 5 * entropy.std() / math.sqrt(len(entropy)) + 1e-9
    assert best["unigram_entropy"] == pytest.approx(entropy.mean(), abs=spread)
    assert best["perplexity"] == pytest.approx(math.exp(best["unigram_entropy"]))
    usage = (drawn > 0).mean(axis=1)
    assert best["usage"] == pytest.approx(usage.mean(), abs=5 * usage.std() / 60 + 1e-5)
    assert best["dead_codes"] == pytest.approx((1 - best["usage"]) * size)


def test_ceilings_at_the_ends():
    assert metrics.ceilings(1, 5)["perplexity"] == pytest.approx(1.0)  # one token, one code
    assert metrics.ceilings(9, 1)["perplexity"] == 1.0
    assert metrics.ceilings(10**9, 4096)["relative_perplexity"] == pytest.approx(1.0, abs=1e-5)
    assert metrics.ceilings(10**9, 2)["perplexity"] == pytest.approx(2.0)
    batch = metrics.ceilings(10**6, 512, batch_tokens=128)["perplexity_batch_mean"]
    assert batch == pytest.approx(metrics.perplexity_ceiling(128, 512))


def test_uniform_tokens_in_a_large_codebook_are_full_use():
    tokens = np.random.default_rng(0).integers(0, 65_536, 640_000)
    counts = metrics.counts(tokens, 65_536)
    best = metrics.ceilings(len(tokens), 65_536)
    assert metrics.verdict(counts) == "healthy"
    assert metrics.perplexity(counts) == pytest.approx(best["perplexity"], rel=2e-3)
    assert metrics.usage(counts) == pytest.approx(best["usage"], abs=2e-4)


@pytest.mark.parametrize(
    ("n", "used", "verdict"),
    [
        pytest.param(200, 1000, "too few tokens to tell", id="uniform, few"),
        pytest.param(200, 5, "collapsed", id="few, and five codes have them all"),
        pytest.param(50, 5, "too few tokens to tell", id="no verdict could be good"),
        pytest.param(20_000, 400, "collapsed", id="usage below half"),
        pytest.param(20_000, 1000, "healthy", id="many"),
    ],
)
def test_verdict_never_blames_a_small_sample(n, used, verdict):
    tokens = np.random.default_rng(1).integers(0, used, n)
    assert metrics.verdict(metrics.counts(tokens, 1000)) == verdict


def test_chao_shen_corrects_what_few_tokens_hide():
    tokens = np.random.default_rng(2).integers(0, 4096, 4096)  # uniform on half of the codes
    counts = metrics.counts(tokens, 8192)
    assert metrics.entropy(counts) < math.log(4096) - 0.4
    assert metrics.entropy_chao_shen(counts) == pytest.approx(math.log(4096), abs=0.15)


def test_chao_shen_by_hand():
    # n 4, one singleton: coverage 3/4, p = 9/16 and 3/16, seen with 1 - (1 - p)^4
    expected = sum(-p * math.log(p) / (1 - (1 - p) ** 4) for p in (9 / 16, 3 / 16))
    assert metrics.entropy_chao_shen(np.array([3, 1, 0])) == pytest.approx(expected)
    assert metrics.entropy_chao_shen(np.array([9, 0])) == 0
    assert metrics.entropy_chao_shen(np.array([1, 1])) == math.log(2)  # 1.58 before the limit


def test_effective_rank_counts_directions():
    assert metrics.effective_rank(np.eye(5, 3)) == pytest.approx(3.0)
    assert metrics.effective_rank(np.outer([1, 2, 3], [1, 1])) == pytest.approx(1.0)
    # singular values 3, 1: entropy of 3/4, 1/4
    expected = math.exp(0.75 * math.log(4 / 3) + 0.25 * math.log(4))
    assert metrics.effective_rank(np.diag([3.0, 1.0])) == pytest.approx(expected)
    assert metrics.effective_rank(np.zeros((4, 2))) == 0


def test_duplicates_are_rows_equal_within_the_tolerance():
    codebook = np.array([[1.0, 2.0], [1.0, 2.0 + 1e-9], [1.0, 2.1], [1.0, 2.0]])
    assert metrics.duplicate_codes(codebook) == 2
    assert metrics.duplicate_codes(codebook, tolerance=0.5) == 3
    assert metrics.duplicate_codes(np.zeros((4, 2))) == 3
    assert metrics.duplicate_codes(1e-20 * codebook) == 2  # relative to the codebook's own scale


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_codes_that_are_not_finite_are_counted_and_left_out(value):
    codebook = np.random.default_rng(0).normal(size=(64, 16))
    codebook[5] = codebook[4]
    finite = metrics.vector_metrics(np.delete(codebook, [3, 9], axis=0))
    assert set(finite) == {"effective_rank", "duplicate_codes"}
    codebook[3, 7], codebook[9] = value, value
    values = metrics.codebook_metrics(np.arange(64), 64, codebook)
    assert values["non_finite_codes"] == 2
    assert values["duplicate_codes"] == finite["duplicate_codes"] == 1
    assert values["effective_rank"] == finite["effective_rank"] > 15


def test_a_codebook_without_a_finite_code_has_no_rank():
    values = metrics.vector_metrics(np.full((4, 2), np.nan))
    assert values == {"effective_rank": 0, "duplicate_codes": 0, "non_finite_codes": 4}


def test_psnr_in_decibels():
    assert metrics.psnr(0.01) == pytest.approx(20.0)
    assert metrics.psnr(0.0) == math.inf


def test_codebook_metrics_hold_every_metric():
    tokens = np.repeat(np.arange(4), 64).reshape(256, 1)
    values = metrics.codebook_metrics(tokens, 8, np.eye(8)[:, :2])
    assert values == pytest.approx(
        {
            "perplexity": 4.0,
            "perplexity_batch_mean": 2.0,
            "relative_perplexity": 0.5,
            "usage": 0.5,
            "dead_codes": 4.0,
            "collapsed": 0.0,
            "unigram_entropy": math.log(4),
            "effective_rank": 2.0,
            "duplicate_codes": 5.0,
        }
    )


TOKENS = np.random.default_rng(0).integers(0, 8, (256, 4))
VECTORS = np.random.default_rng(1).normal(size=(8, 3)).astype(np.float32)


@pytest.mark.parametrize(
    ("tokens", "vectors"),
    [
        pytest.param(TOKENS.tolist(), VECTORS.tolist(), id="lists"),
        pytest.param(list(TOKENS), list(VECTORS), id="lists of arrays"),
        pytest.param(list(torch.tensor(TOKENS)), list(torch.tensor(VECTORS)), id="of tensors"),
        pytest.param(torch.tensor(TOKENS), torch.tensor(VECTORS), id="tensors"),
        pytest.param(
            torch.tensor(TOKENS, dtype=torch.uint8),
            torch.nn.Parameter(torch.tensor(VECTORS)),
            id="parameter",
        ),
        pytest.param(
            torch.tensor(TOKENS), [torch.nn.Parameter(torch.tensor(v)) for v in VECTORS],
            id="list of parameters",
        ),
        pytest.param(pd.DataFrame(TOKENS), pd.DataFrame(VECTORS), id="data frames"),
    ],
)  # fmt: skip
def test_whatever_holds_numbers_is_taken_alike(tokens, vectors):
    expected = metrics.codebook_metrics(TOKENS, 8, VECTORS)
    assert metrics.codebook_metrics(tokens, 8, vectors) == expected


def test_low_precision_tensors_are_read_exactly():
    vectors = torch.tensor(VECTORS).bfloat16()
    assert metrics.to_array(vectors).tolist() == vectors.tolist()


@pytest.mark.parametrize(
    ("tokens", "codebook_size", "message"),
    [
        pytest.param([TOKENS, TOKENS[:9]], 8, r"\[\(9, 4\), \(256, 4\)\]", id="ragged arrays"),
        pytest.param([[1, 2], [3]], 8, "inhomogeneous", id="ragged lists"),
        pytest.param(torch.tensor(TOKENS).float(), 8, "integers, not float64", id="floats"),
        pytest.param(TOKENS, [8, 8], r"\(256, 4\) have no axis -1 of 2 codebooks", id="Q"),
        pytest.param(TOKENS[:, 0], [8], r"have no axis -1 of 1 codebooks", id="flat"),
    ],
)
def test_what_is_no_array_of_tokens_is_one_line(tokens, codebook_size, message):
    with pytest.raises(ValueError, match=message) as error:
        metrics.codebook_metrics(tokens, codebook_size)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("size", [8.0, "8", None])
def test_a_size_that_is_no_whole_number_is_refused(size):
    with pytest.raises(TypeError):
        metrics.codebook_metrics(TOKENS, size)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_codebooks_of_different_sizes_have_their_own_metrics(axis):
    sizes = [1024, 256, 64]
    rng = np.random.default_rng(0)
    tokens = np.stack([rng.permuted(np.arange(100 * 1024) % k) for k in sizes])
    tokens = tokens.reshape(3, 512, 200)
    vectors = [rng.normal(size=(k, 4)) for k in sizes]
    found = metrics.codebook_metrics(np.moveaxis(tokens, 0, axis), sizes, vectors, axis=axis)
    for one, values, size in zip(tokens, found, sizes, strict=True):
        assert values == metrics.codebook_metrics(one, size, vectors[sizes.index(size)])
        assert (values["usage"], values["collapsed"]) == (1, 0)
        assert values["perplexity"] == pytest.approx(size)
    with pytest.raises(ValueError, match="2 codebooks are given, and 3 sizes"):
        metrics.codebook_metrics(tokens, sizes, vectors[1:], axis=0)


@pytest.mark.parametrize("shape", [(7, 2), (8,), (8, 2, 1), (8, 0)])
def test_codebook_of_the_wrong_shape_is_refused(shape):
    with pytest.raises(ValueError, match="codebook has shape"):
        metrics.codebook_metrics([0, 1], 8, np.zeros(shape))


def test_a_notebook_shows_metrics_as_a_table():
    one = metrics.codebook_metrics([[0, 1, 0, 1]], 4)
    assert one == dict(one)
    assert json.loads(json.dumps(one))["usage"] == 0.5
    html = one._repr_html_()
    assert "<th>codebook</th><th>0</th></tr>" in html
    assert "<tr><th>perplexity</th><td>2</td></tr>" in html
    assert "<tr><th>relative perplexity</th><td>50.0 %</td></tr>" in html
    assert "<tr><th>collapsed</th><td>no</td></tr>" in html
    assert "<tr><th>perplexity batch mean</th><td>–</td></tr>" in html  # of no full batch


def test_several_codebooks_stand_side_by_side_in_a_notebook():
    tokens = np.stack([np.zeros(64, int), np.arange(64) % 2], axis=1)
    codes = np.eye(2)
    html = metrics.codebook_metrics(tokens, [64, 2], [np.eye(64), codes])._repr_html_()
    assert "<th>codebook</th><th>0</th><th>1</th>" in html
    assert "<tr><th>collapsed</th><td>yes</td><td>no</td></tr>" in html
    assert "<tr><th>usage</th><td>1.6 %</td><td>100.0 %</td></tr>" in html
