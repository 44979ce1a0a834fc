"""Inspection of token files: numbers by hand, and bounded memory."""

import math
import subprocess
import sys

import numpy as np
import pytest

from collapsebench import inspect, metrics
from collapsebench.inspect import counting
from collapsebench.inspect.tokens import open_tokens
from collapsebench.inspect.vectors import geometry
from tests.inspect.drawn import draw


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
