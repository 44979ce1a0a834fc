"""Which axis holds codebooks, what sizes they have, what is padding."""

import json

import numpy as np
import pytest

from collapsebench import inspect, metrics
from collapsebench.cli import app
from collapsebench.settings import UserError
from tests.inspect.drawn import draw


def test_residual_tokens_are_measured_per_codebook(save):
    tokens = np.stack([draw((200, 5), 8, 5.0, seed) for seed in (0, 1, 2)], axis=-1)
    tokens[..., 2] = 7
    found = inspect.inspect(save("tokens", tokens), 8, codebooks=3)
    for q, use in enumerate(found.uses):
        expected = metrics.codebook_metrics(tokens[..., q], 8)
        assert {k: use.values[k] for k in expected} == pytest.approx(expected)
    assert [use.verdict for use in found.uses] == ["healthy", "healthy", "collapsed"]
    assert found.verdict == "collapsed"
    assert "1 of 3 codebooks collapsed" in found.summary
    assert "lowest perplexity 1.0 of 8 in codebook 2" in found.summary


def test_codebook_size_is_known_assumed_or_refused(save):
    tokens, vectors = save("tokens", np.array([0, 1, 5])), save("codebook", np.eye(8))
    assert inspect.inspect(tokens).codebook_size == 6
    assert not inspect.inspect(tokens).size_given
    assert inspect.inspect(tokens, codebook=vectors).codebook_size == 8
    with pytest.raises(UserError, match="holds 8 codes, not the 9 given"):
        inspect.inspect(tokens, 9, vectors)
    with pytest.raises(UserError, match="token 5 is outside a codebook of 4 codes"):
        inspect.inspect(tokens, 4)
    with pytest.raises(UserError, match="at least 1"):
        inspect.inspect(tokens, 0)


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        pytest.param((100, 75, 8), "--codebooks 8 or --codebooks 1", id="last"),
        pytest.param((100, 8, 75), "--codebooks 8 --axis 1 or --codebooks 1", id="second"),
        pytest.param((8, 100, 75), "--codebooks 8 --axis 0 or --codebooks 1", id="first"),
        pytest.param((1000, 4), "--codebooks 4 or --codebooks 1", id="ids of items"),
        pytest.param(
            (100, 4, 16, 16),
            "--codebooks 16 or --codebooks 4 --axis 1 or --codebooks 1",
            id="maps of several",
        ),
    ],
)
def test_an_axis_that_may_be_codebooks_is_asked_about(save, shape, said):
    tokens = save("t", np.random.default_rng(0).integers(0, 64, shape))
    found = inspect.inspect(tokens, 64)
    assert found.verdict == "no verdict"
    assert f"no verdict (codebooks or positions? say {said})" in found.summary
    assert "collapsed" not in found.uses[0].values
    assert inspect.inspect(tokens, 64, codebooks=1).verdict == "healthy"


@pytest.mark.parametrize("shape", [(500,), (100, 64), (100, 16, 16), (40, 6, 6, 6), (100, 33, 40)])
def test_plain_sequences_and_maps_are_not_asked_about(save, shape):
    tokens = save("t", np.random.default_rng(0).integers(0, 16, shape))
    assert inspect.inspect(tokens, 16).reason == ""


def test_codebooks_of_different_sizes_are_judged_by_their_own(save, tmp_path, capsys):
    sizes = (1024, 256, 64)
    tokens = np.stack([draw((400, 75), k, 1e6, k) for k in sizes], axis=-1)
    found = inspect.inspect(save("t", tokens), sizes)
    assert [use.verdict for use in found.uses] == ["healthy"] * 3
    for q, size in enumerate(sizes):
        expected = metrics.codebook_metrics(tokens[..., q], size)
        assert {k: found.uses[q].values[k] for k in expected} == pytest.approx(expected)
    assert inspect.inspect(save("t", tokens), 1024, codebooks=3).summary.startswith(
        "t.npy: collapsed · 2 of 3 codebooks collapsed"
    )
    inspect.write(found, inspect.FORMATS, tmp_path)
    assert "1024, 256, 64 codes" in (tmp_path / "t.html").read_text()
    assert "63.9 – 1,00" in capsys.readouterr().out  # of uniform use
    values = json.loads((tmp_path / "t.json").read_text())
    assert [one["codebook_size"] for one in values["codebooks"]] == list(sizes)


def test_sizes_and_codebooks_that_disagree_are_refused(save):
    tokens = save("t", np.arange(60).reshape(5, 4, 3))
    for sizes, codebooks, message in [
        ((64, 64), None, r"shape \(5, 4, 3\) does not end in 2 codebooks"),
        ((64, 64, 64), 2, "3 codebook sizes are given for 2 codebooks"),
        ((64, 64, 16), None, "token 59 is outside codebook 2, which has 16 codes"),
        (10**11, None, "at least 1 and at most 16,777,216"),
        ((64, 0, 64), None, "at least 1 and at most 16,777,216"),
    ]:
        with pytest.raises(UserError, match=message):
            inspect.inspect(tokens, sizes, codebooks=codebooks)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_codebooks_may_lie_on_any_axis(save, axis):
    tokens = np.stack([draw((50, 40), 64, 5.0, q) for q in range(4)], axis=-1)
    moved = save("t", np.moveaxis(tokens, -1, axis))
    by_axis = inspect.inspect(moved, 64, axis=axis)
    by_length = inspect.inspect(moved, 64, codebooks=4)
    for q, use in enumerate(by_axis.uses):
        expected = metrics.counts(tokens[..., q], 64).tolist()
        assert use.counts.tolist() == expected == by_length.uses[q].counts.tolist()
    assert by_axis.uses[0].seen_perplexity[-1] == by_axis.uses[0].values["perplexity"]
    assert (by_axis.file.rows, by_axis.file.positions) == (50, (40,))


def test_padding_is_not_counted(save):
    tokens, length = draw((400, 30), 32, 1.0), np.arange(400) % 30 + 1
    padded = np.where(np.arange(30) < length[:, None], tokens, -1)
    found = inspect.inspect(save("t", padded), 32, ignore=-1)
    expected = metrics.codebook_metrics(padded, 32, ignore=-1)
    use = found.uses[0]
    assert {k: use.values[k] for k in expected} == pytest.approx(expected)
    assert use.counts.tolist() == metrics.counts(padded[padded >= 0], 32).tolist()
    by_hand = [metrics.perplexity(metrics.counts(padded[length > i, i], 32)) for i in range(30)]
    assert use.position_perplexity == pytest.approx(by_hand)
    assert use.ceilings["usage"] == metrics.usage_ceiling(int((padded >= 0).sum()), 32)


def test_positions_and_codebooks_of_padding_alone(save, tmp_path):
    tokens = draw((200, 12), 8, 1.0)
    tokens[:, 9:] = -1
    found = inspect.inspect(save("t", tokens), 8, ignore=-1)
    assert np.isnan(found.uses[0].position_perplexity).tolist() == [False] * 9 + [True] * 3
    inspect.write(found, inspect.FORMATS, tmp_path)
    assert "without 600 that are -1" in (tmp_path / "t.html").read_text()
    empty = np.full_like(tokens, -1)
    with pytest.raises(UserError, match="no tokens of codebook 1, all are -1"):
        inspect.inspect(save("t", np.stack([tokens, empty], axis=-1)), (8, 8), ignore=-1)
    with pytest.raises(UserError, match="no tokens, all are -1"):
        inspect.inspect(save("t", np.full((3, 40), -1)), ignore=-1)


def test_the_command_takes_sizes_axis_and_padding(save, tmp_path, capsys):
    tokens = np.stack([np.arange(600) % k for k in (64, 16)]).reshape(2, 20, 30)
    tokens[:, :, 29] = -1
    words = [str(save("t", tokens)), "-K", "64,16", "--axis", "0", "--ignore", "-1", "--to", "json"]
    app(["inspect", *words, "-o", str(tmp_path)], standalone_mode=False)
    said = "t.npy: healthy · 0 of 2 codebooks collapsed · lowest perplexity "
    assert capsys.readouterr().out.startswith(said)
    values = json.loads((tmp_path / "t.json").read_text())
    assert [one["codebook_size"] for one in values["codebooks"]] == [64, 16]
    assert [one["seen"][-1] for one in values["codebooks"]] == [580, 580]
