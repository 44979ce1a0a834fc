"""Codebooks that are too large to count: exact values of small streams, bounds, agreement."""

import itertools
import math

import numpy as np
import pytest
import torch

from collapsebench import CodebookMonitor, metrics
from collapsebench.inspect import diagnosis, inspect
from collapsebench.monitor import bits
from collapsebench.monitor.bits import Bits
from collapsebench.settings import UserError

SIZE = 2**32


def counted(tokens, width):
    found = Bits([2**width])
    found.add([np.asarray(tokens)], [None])
    return found.counts(found.host())[0]


def test_bits_of_four_tokens_by_hand():
    values, best = bits.bit_metrics(counted([0b000, 0b011, 0b011, 0b000], 3))
    assert values["bit_entropy"] == pytest.approx(2 / 3 * math.log(2))
    assert values["bit_entropy_min"] == 0  # the third is always 0
    assert values["bit_correlation"] == pytest.approx(1)
    assert values["perplexity_bound"] == pytest.approx(2)
    assert best["perplexity_bound"] == 8


def test_the_bound_is_the_entropy_of_the_best_tree_of_bits():
    rng = np.random.default_rng(0)
    tokens = rng.choice(16, 5000, p=rng.dirichlet(np.full(16, 0.5)))
    values, _ = bits.bit_metrics(counted(tokens, 4))
    column = (tokens[:, None] >> np.arange(4)) & 1

    def entropy(*which):
        return metrics.entropy(metrics.counts(column[:, which] @ (1 << np.arange(len(which))), 16))

    def information(i, j):
        return entropy(i) + entropy(j) - entropy(i, j)

    pairs = list(itertools.combinations(range(4), 2))
    trees = [t for t in itertools.combinations(pairs, 3) if _spans(t)]
    heaviest = max(sum(information(*pair) for pair in tree) for tree in trees)
    expected = math.exp(sum(entropy(i) for i in range(4)) - heaviest)
    assert values["perplexity_bound"] == pytest.approx(expected, rel=1e-12)
    assert metrics.perplexity(metrics.counts(tokens, 16)) <= expected


def _spans(tree):
    reached = {0}
    for _ in tree:
        reached |= {node for pair in tree if set(pair) & reached for node in pair}
    return len(reached) == 4


def test_coverage_by_hand():
    values, best = bits.coverage(np.array([7, 7, 7, 9, 5]), 2**32)
    assert values["coverage"] == pytest.approx(3 / 5)
    assert best["coverage"] == pytest.approx(4 / 2**32)


def test_a_collapsed_codebook_of_2_to_the_32_codes_is_named(tmp_path):
    monitor = CodebookMonitor(SIZE, out=tmp_path / "codes.parquet")
    monitor.update(np.random.default_rng(0).integers(0, 2**20, 5000) << 12)
    values = monitor.compute()
    assert monitor.verdict == "collapsed"
    assert values["perplexity_bound"] <= 2**20
    assert values["window/coverage"] < 0.01
    (found,) = diagnosis.diagnose(tmp_path / "codes.parquet")
    assert found.summary.startswith("codebook 0: collapsed · perplexity at most 1,0")
    with pytest.raises(UserError, match="too large to count"):
        inspect(tmp_path / "codes.parquet")


def test_uniform_use_is_never_called_healthy_nor_collapsed():
    monitor = CodebookMonitor(SIZE)
    monitor.update(np.random.default_rng(0).integers(0, SIZE, 5000))
    values = monitor.compute()
    assert monitor.verdict == "too few tokens to tell"
    assert values["bit_entropy"] == pytest.approx(math.log(2), rel=1e-3)
    assert values["bit_correlation"] < 0.1


def test_numpy_and_torch_agree_with_masks_and_restored():
    rng = np.random.default_rng(1)
    tokens, mask = rng.integers(0, SIZE, (2, 50, 40)), rng.random((2, 50, 40)) < 0.5
    found = []
    for kind in (np.asarray, torch.as_tensor):
        monitor = CodebookMonitor(SIZE)
        monitor.update(kind(tokens[0]), mask=kind(mask[0]))
        again = CodebookMonitor(SIZE)
        again.load_state_dict(monitor.state_dict())
        again.update(kind(tokens[1]), mask=kind(mask[1]))
        found.append(again.compute())
    assert found[0] == pytest.approx(found[1], rel=1e-12)
    assert found[0]["tokens"] == mask.sum()


def test_merged_bits_are_those_of_both_streams():
    tokens = np.random.default_rng(2).integers(0, SIZE, (2, 500))
    halves = [CodebookMonitor(SIZE), CodebookMonitor(SIZE)]
    for monitor, part in zip(halves, tokens, strict=True):
        monitor.update(part)
    halves[0].merge(halves[1])
    whole = CodebookMonitor(SIZE)
    whole.update(tokens)
    assert halves[0].compute() == whole.compute()


def test_memory_does_not_grow_with_codes_or_tokens():
    monitor = CodebookMonitor([SIZE, SIZE])
    for seed in range(3):
        monitor.update(np.random.default_rng(seed).integers(0, SIZE, (bits.RECENT, 2)))
    state = monitor.state_dict()
    assert state["tally"]["bins"].size == 2 * (32 * 32 + 1) + 3
    assert [len(one) for one in state["tally"]["recent"]] == [bits.RECENT] * 2


def test_a_dense_codebook_of_2_to_the_18_codes_is_counted():
    monitor = CodebookMonitor(2**18)
    monitor.update(torch.arange(2**17))
    assert monitor.compute()["usage"] == 0.5


def test_a_large_codebook_is_a_power_of_two_and_its_tokens_are_inside():
    with pytest.raises(ValueError, match=r"have 2\^n of them"):
        CodebookMonitor(2**24 + 1)
    monitor = CodebookMonitor(SIZE)
    monitor.update(np.array([SIZE, 0]))
    with pytest.raises(ValueError, match="1 tokens are outside codebook 0 of 4294967296"):
        monitor.compute()
