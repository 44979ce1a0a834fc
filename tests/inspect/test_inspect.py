"""Inspection of token files: numbers by hand, the page, and bounded memory."""

import json
import math
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from collapsebench import inspect, metrics
from collapsebench.cli import app
from collapsebench.inspect import counting
from collapsebench.inspect.images import score_images
from collapsebench.inspect.tokens import open_tokens
from collapsebench.inspect.vectors import geometry
from collapsebench.settings import UserError


@pytest.fixture
def save(tmp_path):
    def write(name, array):
        np.save(tmp_path / f"{name}.npy", array)
        return tmp_path / f"{name}.npy"

    return write


def draw(shape, size, concentration, seed=0):
    rng = np.random.default_rng(seed)
    return rng.choice(size, size=shape, p=rng.dirichlet(np.full(size, concentration)))


def test_every_metric_equals_the_one_of_an_array_in_memory(save):
    tokens, vectors = draw((300, 4, 4), 32, 1.0), np.random.default_rng(1).normal(size=(32, 8))
    found = inspect.inspect(save("tokens", tokens), codebook=save("codebook", vectors))
    values = found.uses[0].values | found.geometries[0].values
    assert values.pop("entropy_chao_shen") <= math.log(32)
    assert values == pytest.approx(metrics.codebook_metrics(tokens, 32, vectors))
    assert found.uses[0].ceilings == metrics.ceilings(4800, 32, batch_tokens=128 * 16)


def test_reading_in_small_pieces_changes_nothing(save, monkeypatch):
    tokens = draw((700, 3, 2, 2), 16, 1.0)
    file = open_tokens(save("tokens", tokens), codebooks=2)
    whole = counting.measure(file, [16, 16])
    monkeypatch.setattr(counting, "PIECE", 128 * file.row_tokens)
    for one, other in zip(whole, counting.measure(file, [16, 16]), strict=True):
        assert one.counts.tolist() == other.counts.tolist()
        assert one.values == pytest.approx(other.values)
        assert one.position_perplexity == pytest.approx(other.position_perplexity)
        assert one.seen_perplexity == pytest.approx(other.seen_perplexity)


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


def test_a_position_that_collapsed_is_found(save):
    tokens = np.random.default_rng(0).integers(0, 16, (2000, 2, 3))
    tokens[:, 1, 0] = 5
    use = inspect.inspect(save("tokens", tokens), 16).uses[0]
    by_hand = [
        metrics.perplexity(metrics.counts(tokens[:, y, x], 16)) for y in (0, 1) for x in (0, 1, 2)
    ]
    assert use.position_perplexity == pytest.approx(by_hand)
    assert by_hand[3] == 1
    assert use.position_ceiling == pytest.approx(metrics.perplexity_ceiling(2000, 16))


def test_positions_are_pooled_where_counts_would_not_fit(save, monkeypatch):
    tokens = draw((100, 6), 16, 1.0)
    monkeypatch.setattr(counting, "CELLS", 3 * 16)
    use = inspect.inspect(save("tokens", tokens), 16).uses[0]
    pairs = [metrics.perplexity(metrics.counts(tokens[:, i : i + 2], 16)) for i in (0, 2, 4)]
    assert use.position_perplexity == pytest.approx(pairs)


def test_curve_over_tokens_seen_is_of_the_first_tokens(save):
    tokens = draw(5000, 64, 1.0)
    use = inspect.inspect(save("tokens", tokens), 64).uses[0]
    assert (use.seen[0], use.seen[-1]) == (5, 5000)
    by_hand = [metrics.perplexity(metrics.counts(tokens[:n], 64)) for n in use.seen]
    assert use.seen_perplexity == pytest.approx(by_hand)
    assert use.seen_ceiling[-1] == pytest.approx(use.ceilings["perplexity"])
    assert use.last_doubling == pytest.approx(0, abs=0.02)


def test_tokens_that_arrive_in_order_have_not_settled(save):
    use = inspect.inspect(save("tokens", np.repeat(np.arange(64), 50)), 64).uses[0]
    assert use.last_doubling == pytest.approx(1.0, abs=0.05)  # half of the codes in half of them


def test_uniform_tokens_in_a_large_codebook_are_full_use(save):
    tokens = np.random.default_rng(0).integers(0, 65_536, (10_000, 64))
    found = inspect.inspect(save("tokens", tokens), 65_536)
    assert found.verdict == "healthy"
    assert "usage 100.0 %" in found.summary
    assert "94.9 %; uniform 94.9 %" in found.summary


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


def test_geometry_by_hand():
    codebook = np.array([[0.0, 0.0, 1.0], [3.0, 0.0, 1.0], [3.0, 4.0, 1.0], [0.0, 0.0, 1.0]])
    found = geometry(codebook)
    assert found.nearest.tolist() == [0, 3, 4, 0]
    assert found.explained == pytest.approx(1.0)  # the third axis is constant
    between = np.linalg.norm(found.plane[:, None] - found.plane, axis=2)
    assert between == pytest.approx(np.linalg.norm(codebook[:, None] - codebook, axis=2))
    assert found.values["duplicate_codes"] == 1


def test_one_dimensional_codes_have_a_map_too():
    found = geometry(np.array([[0.0], [1.0], [4.0]]))
    assert found.nearest.tolist() == [1, 1, 3]
    assert np.abs(found.plane[:, 1]).max() == 0


def test_a_large_codebook_is_mapped_by_a_part_of_its_codes(monkeypatch):
    found = geometry(np.arange(20_000.0)[:, None] * np.ones(2))
    assert len(found.shown) == len(found.nearest) == 4096
    assert found.nearest == pytest.approx(np.full(4096, math.sqrt(2)))


def write_images(folder, images):
    folder.mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{i}.png")
    return folder


def test_images_are_scored_in_pairs(tmp_path):
    real = np.random.default_rng(0).integers(0, 200, (12, 16, 16, 3), dtype=np.uint8)
    a, b = write_images(tmp_path / "real", real), write_images(tmp_path / "recon", real + 51)
    found = score_images(a, b)
    assert (found.count, found.mse) == (12, pytest.approx(0.04))
    assert found.psnr == pytest.approx(-10 * math.log10(0.04))
    assert found.rfd > 0.1
    assert found.rfd_label.startswith("rFD[")
    assert score_images(a, a).rfd == pytest.approx(0, abs=1e-3)


def test_named_weights_are_never_passed_over(tmp_path, monkeypatch):
    folder = write_images(tmp_path / "real", np.zeros((4, 8, 8, 3), dtype=np.uint8))
    weights = tmp_path / "weights.pth"
    monkeypatch.setenv("COLLAPSEBENCH_INCEPTION_WEIGHTS", str(weights))
    with pytest.raises(UserError, match="no Inception weights at"):
        score_images(folder, folder)
    weights.write_bytes(b"another file")
    with pytest.raises(UserError, match="not the published"):
        score_images(folder, folder)


def test_images_without_a_partner_or_of_another_size_are_refused(tmp_path):
    image = np.zeros((3, 8, 8, 3), dtype=np.uint8)
    three, two = write_images(tmp_path / "three", image), write_images(tmp_path / "two", image[:2])
    small = write_images(tmp_path / "small", image[:, :4])
    with pytest.raises(UserError, match=r"1 images of .* have no partner .*'2' first"):
        score_images(three, two)
    with pytest.raises(UserError, match=r"images of \(8, 8\), .*small \(4, 8\)"):
        score_images(three, small)
    with pytest.raises(UserError, match="no such folder"):
        score_images(three, tmp_path / "absent")


CASES = {
    "collapsed": (draw((300, 4, 4), 64, 0.01), 1),
    "healthy": (draw((300, 40), 64, 5.0), 1),
    "few": (draw(40, 4096, 5.0), 1),
    "residual": (np.stack([draw((200, 6), 64, a) for a in (5, 0.01)], axis=-1), 2),
    "residual maps": (np.stack([draw((200, 3, 2), 64, a) for a in (5, 0.01)], axis=-1), 2),
}


@pytest.mark.parametrize("name", CASES)
def test_page_is_self_contained_and_holds_the_verdict(save, tmp_path, name):
    tokens, codebooks = CASES[name]
    size = 4096 if name == "few" else 64
    vectors = np.random.default_rng(0).normal(size=(codebooks, size, 4)).squeeze()
    found = inspect.inspect(save(name, tokens), size, save("vectors", vectors), codebooks)
    inspect.write(found, ["html"], tmp_path)
    page = (tmp_path / f"{name}.html").read_text()
    expected = {"healthy": "healthy", "few": "too few tokens to tell"}.get(name, "collapsed")
    assert found.summary.startswith(f"{name}.npy: {expected}")
    assert f"<strong>{expected.capitalize()}</strong>" in page
    assert "Collapsed: perplexity below 10 % of the codebook size" in page
    assert page.count("<svg") == (4 if name == "few" else 5)  # flat tokens have no positions
    addresses = set(re.findall(r'(?:href|src)="([^"]*)"|url\(([^)]*)\)', page))
    assert all(link.startswith(("#", "data:")) for pair in addresses for link in pair if link)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_equal_images_have_an_endless_psnr_in_every_form(save, tmp_path, capsys):
    image = np.random.default_rng(0).integers(0, 255, (4, 8, 8, 3), dtype=np.uint8)
    folder = write_images(tmp_path / "real", image)
    found = inspect.inspect(save("t", np.arange(9)), 9, images=(folder, folder))
    inspect.write(found, inspect.FORMATS, tmp_path)
    assert "<td>0.000000</td><td>∞</td>" in (tmp_path / "t.html").read_text()
    assert "4 images: MSE 0.000000, PSNR ∞ dB, rFD[" in capsys.readouterr().out
    values = json.loads((tmp_path / "t.json").read_text(), parse_constant=pytest.fail)
    assert (values["images"]["mse"], values["images"]["psnr"]) == (0, None)


def test_values_are_written_as_json(save, tmp_path):
    found = inspect.inspect(save("t", np.arange(8).repeat(3)), 16)
    inspect.write(found, ["json"], tmp_path / "new")
    values = json.loads((tmp_path / "new" / "t.json").read_text(), parse_constant=pytest.fail)
    only = values["codebooks"][0]
    assert values["verdict"] == only["verdict"] == "healthy"
    assert (values["codebook_size"], only["codebook_size"]) == (16, 16)
    assert only["metrics"]["perplexity"] == pytest.approx(8.0)
    assert only["metrics"]["dead_codes"] == 8
    assert only["metrics"]["perplexity_batch_mean"] is None  # no batches of rows in a flat file
    assert only["seen"][-1] == 24


def test_terminal_has_a_line_per_codebook(save, tmp_path, capsys):
    tokens = np.stack([np.arange(64) % 8, np.zeros(64, dtype=int)], axis=-1)
    inspect.write(inspect.inspect(save("t", tokens), 8, codebooks=2), ["term"], tmp_path)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["0", "healthy", "8.0", "100.0", "%", "100.0", "%", "0"] in lines
    assert ["1", "collapsed", "1.0", "12.5", "%", "12.5", "%", "7"] in lines


def test_without_a_codebook_size_there_is_no_verdict(save, tmp_path, capsys):
    tokens = np.random.default_rng(0).integers(0, 10, (300, 8, 8))  # 10 codes, of 1 024 perhaps
    found = inspect.inspect(save("t", tokens))
    assert found.verdict == "no verdict"
    assert found.summary.startswith(
        "t.npy: no verdict (the codebook size is not known: say -K) · perplexity 10.0 · "
        "10 distinct tokens, the largest 9"
    )
    inspect.write(found, inspect.FORMATS, tmp_path)
    page, table = (tmp_path / "t.html").read_text(), capsys.readouterr().out
    assert "<strong>No verdict</strong>" in page
    assert not {">Codes used<", ">Dead codes<"} & set(re.findall(">[^<]*<", page))
    assert table.split() == [
        "codebook",
        "verdict",
        "perplexity",
        "─" * 33,
        "0",
        "no",
        "verdict",
        "10.0",
    ]
    only = json.loads((tmp_path / "t.json").read_text())["codebooks"][0]
    assert set(only["metrics"]) == {"perplexity", "unigram_entropy", "perplexity_batch_mean"}
    assert (only["codebook_size"], only["ceilings"], only["position_ceiling"]) == (None, {}, None)
    assert inspect.inspect(save("t", tokens), 1024).verdict == "collapsed"


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


def test_codes_that_are_not_finite_are_counted_and_left_out(save, tmp_path):
    vectors = np.random.default_rng(0).normal(size=(64, 16)).astype(np.float32)
    finite = inspect.inspect(save("t", np.arange(60)), codebook=save("codebook", vectors[1:61]))
    vectors[0, 3], vectors[61:] = np.inf, np.nan
    found = inspect.inspect(save("t", np.arange(64)), codebook=save("codebook", vectors))
    geometry, kept = found.geometries[0], finite.geometries[0]
    assert geometry.values["non_finite_codes"] == 4
    assert geometry.values["effective_rank"] == pytest.approx(kept.values["effective_rank"])
    assert geometry.values["duplicate_codes"] == 0
    assert geometry.shown.tolist() == list(range(1, 61))
    assert geometry.nearest == pytest.approx(kept.nearest)
    inspect.write(found, inspect.FORMATS, tmp_path)
    assert "Codes that are not finite" in (tmp_path / "t.html").read_text()


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


def test_an_unknown_format_is_refused():
    with pytest.raises(UserError, match="unknown format 'htm'; did you mean 'html'"):
        inspect.forms("term,htm")


def test_inspection_of_a_numpy_file_never_loads_torch(save):
    path = save("t", np.arange(9))
    code = (
        "import sys; from pathlib import Path; from collapsebench import inspect; "
        f"inspect.inspect(Path({str(path)!r})); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_a_hundred_million_tokens_take_seconds_and_little_memory(tmp_path):  # of one core
    path, n = tmp_path / "t.npy", 10**8
    big = np.lib.format.open_memmap(path, "w+", np.uint16, (n // 64, 8, 8))
    block = np.random.default_rng(0).integers(0, 65_536, (n // 640, 8, 8), dtype=np.uint16)
    for start in range(0, len(big), len(block)):
        big[start : start + len(block)] = block
    del big
    code = (
        "import time; from pathlib import Path; "
        "from collapsebench.results import provenance; "
        "from collapsebench import inspect; "
        f"path = Path({str(path)!r}); "
        "inspect.write(inspect.inspect(path, 65536), ['html'], path.parent); "
        "print(time.process_time(), provenance.peak_memory_bytes())"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    seconds, size = map(float, out.stdout.split())
    assert seconds < 30
    assert size < 2**30


def test_a_notebook_shows_it_as_a_table(save):
    tokens = np.random.default_rng(0).integers(0, 5, (200, 8, 2))
    found = inspect.inspect(save("a&b", tokens), [64], codebooks=2)._repr_html_()
    assert "<caption>a&amp;b.npy: collapsed" in found
    assert "<tr><th>codebook</th><th>0</th><th>1</th><th>uniform use</th></tr>" in found
    assert "<tr><th>verdict</th><td>collapsed</td><td>collapsed</td><td></td></tr>" in found
    assert "<tr><th>Dead codes</th><td>59</td><td>59</td><td>0</td></tr>" in found
