"""Vectors and sequences of anybody's file: splits, standardising, what is refused."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import save_file

from collapsebench.datasets import _vectors, form_of, mixed, mixture
from collapsebench.datasets.digit_vectors import DigitVectors
from collapsebench.datasets.mixture import Mixture
from collapsebench.datasets.vectors import VectorFile
from collapsebench.settings import Data, UserError

RNG = np.random.default_rng(7)
ROWS = RNG.normal(3, [1, 2, 4], (60, 3)).astype(np.float32)
SEQUENCES = RNG.normal(-1, 5, (40, 7, 3))


def loaded(folder, array, name="rows.npy"):
    """The dataset of an array saved in a folder."""
    np.save(folder / name, array)
    return VectorFile().load(Data(path=str(folder / name)), folder / "root")


def refusal(folder, array):
    """The line with which an array is refused."""
    with pytest.raises(UserError) as caught:
        loaded(folder, array)
    assert "\n" not in str(caught.value)
    assert "rows.npy" in str(caught.value)
    return str(caught.value)


def test_each_row_is_in_one_split_and_standardised_by_the_train_split(tmp_path):
    items = loaded(tmp_path, ROWS)
    parts = [items.train, items.val, items.test]
    assert [len(part) for part in parts] == [49, 5, 6]
    assert np.allclose(items.train.mean(axis=0), 0, atol=1e-6)
    assert np.allclose(items.train.std(axis=0), 1, atol=1e-6)
    back = np.concatenate(parts) * items.form.scale + items.form.mean
    assert np.allclose(sorted(back.tolist()), sorted(ROWS.tolist()), atol=1e-4)
    train = ROWS[_vectors.splits(60)["train"]].astype(np.float64)
    assert items.form.mean == pytest.approx(train.mean(axis=0))
    assert items.form.scale == pytest.approx(train.std(axis=0))


def test_statistics_of_blocks_are_those_of_the_whole(tmp_path, monkeypatch):
    whole = loaded(tmp_path, SEQUENCES, "whole.npy")
    monkeypatch.setattr(_vectors, "BLOCK", 50)
    blocks = loaded(tmp_path, SEQUENCES + 0.0, "blocks.npy")
    assert whole.train.shape == (33, 7, 3)
    assert blocks.form.mean == pytest.approx(whole.form.mean)
    assert np.allclose(whole.train.mean(axis=(0, 1)), 0, atol=1e-6)
    assert np.allclose(blocks.train.std(axis=(0, 1)), 1, atol=1e-6)


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="no /proc here")
def test_a_file_larger_than_the_memory_is_read_a_part_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(_vectors, "BLOCK", 2**19)  # 2 MB of 33
    monkeypatch.setattr(_vectors, "KEPT", 1)
    path, seen = tmp_path / "rows.npy", []
    np.save(path, RNG.normal(size=(2000, 4096)).astype(np.float32))
    rows = np.load(path, mmap_mode="r")
    monkeypatch.setattr(_vectors, "_refuse_not_finite", lambda *_: seen.append(resident(path)))
    mean, scale = _vectors.spread(rows, np.arange(2000), "here")
    standard = _vectors.Standardised(rows, mean, scale)
    for count, index in enumerate(mixed(2000).tolist()):
        standard[index]
        if count % 100 == 0:
            seen.append(resident(path))
    assert max(seen) > 0
    assert max(seen) < path.stat().st_size / 2


def resident(path):
    """Bytes of a mapped file that are in this process's memory now."""
    _, _, text = Path("/proc/self/smaps").read_text().partition(str(path))
    return 1024 * int(text.partition("Rss:")[2].split()[0])


def test_every_format_holds_the_same_rows(tmp_path):
    np.save(tmp_path / "a.npy", ROWS)
    np.savez_compressed(tmp_path / "a.npz", vectors=ROWS, ids=np.arange(60))
    table = pa.table({"vectors": pa.FixedSizeListArray.from_arrays(pa.array(ROWS.ravel()), 3)})
    pq.write_table(table, tmp_path / "a.parquet")
    save_file({"vectors": ROWS}, tmp_path / "a.safetensors")
    torch.save(torch.from_numpy(ROWS), tmp_path / "a.pt")
    loads = [
        VectorFile().load(Data(path=str(path)), tmp_path / "root")
        for path in sorted(tmp_path.glob("a.*"))
    ]
    assert len(loads) == 5
    assert all(np.array_equal(items.train, loads[0].train) for items in loads)


def test_another_array_of_a_file_is_chosen_by_name(tmp_path):
    np.savez(tmp_path / "two.npz", vectors=ROWS, other=2 * ROWS + 1)
    one, two = (
        VectorFile().load(Data(path=str(tmp_path / "two.npz"), array=name), tmp_path / "root")
        for name in ("", "other")
    )
    assert two.form.mean == pytest.approx(2 * one.form.mean + 1)
    assert one.content_hash != two.content_hash


def test_what_is_no_table_of_finite_numbers_is_refused_in_one_line(tmp_path):
    hurt = ROWS.copy()
    hurt[41, 1] = np.nan
    assert "row 41, column 1 (counted from 0) is nan" in refusal(tmp_path, hurt)
    sequences = SEQUENCES.copy()
    sequences[3, 6, 2] = -np.inf
    assert "row 3, position 6, column 2" in refusal(tmp_path, sequences)
    constant = np.c_[ROWS, np.full((60, 1), 0.1), np.zeros((60, 1))]
    assert "2 columns, column 3 (counted from 0) the first, are const" in refusal(
        tmp_path, constant
    )
    assert "column 3 (counted from 0) is constant" in refusal(tmp_path, constant[:, :4])
    assert "1 rows; at least 10" in refusal(tmp_path, ROWS[:1])
    assert "its shape is (60,), neither (N, F) nor" in refusal(tmp_path, ROWS[:, 0])
    assert "holds <U" in refusal(tmp_path, ROWS.astype(str))
    assert "Python objects" in refusal(tmp_path, ROWS.astype(object))
    assert "column 0 has values too large" in refusal(tmp_path, ROWS * [1e300, 1, 1])
    (tmp_path / "rows.txt").write_text("1 2 3")
    with pytest.raises(UserError, match="unknown format"):
        VectorFile().load(Data(path=str(tmp_path / "rows.txt")), tmp_path)
    with pytest.raises(UserError, match="no such file"):
        VectorFile().load(Data(path=str(tmp_path / "none.npy")), tmp_path)


def test_the_train_split_is_counted_before_it_is_read(tmp_path):
    items = loaded(tmp_path, ROWS)
    data = VectorFile()
    settings = Data(path=str(tmp_path / "rows.npy"))
    assert data.train_count(settings) == len(items.train)
    assert data.form(settings).extent == "3 features"
    entry = json.loads((data.entry(settings, tmp_path / "root") / "entry.json").read_text())
    assert entry["scale"] == items.form.scale.tolist()


def test_vectors_are_one_position_and_sequences_a_row():
    x = torch.arange(24.0).view(2, 12)
    vectors, sequences = form_of((12,)), form_of((4, 3))
    assert vectors.batch(x).shape == (2, 12, 1, 1) == (2, *vectors.shape)
    seen = sequences.batch(x.view(2, 4, 3))
    assert seen.shape == (2, 3, 1, 4) == (2, *sequences.shape)
    assert seen[1, 2, 0].tolist() == [14, 17, 20, 23]
    assert np.array_equal(sequences.stored(seen), x.view(2, 4, 3))
    assert np.array_equal(vectors.stored(vectors.batch(x)), x)


def test_errors_of_vectors_by_hand():
    form = form_of((2,)).known({"mean": [1.0, 0.0], "scale": [2.0, 1.0]})
    errors = form.errors()
    x, x_hat = torch.tensor([[1.0, 0.0], [-1.0, 1.0]]), torch.tensor([[0.0, 0.0], [-1.0, 1.0]])
    errors.add(form.batch(x_hat[:1]), form.batch(x[:1]))
    errors.add(form.batch(x_hat[1:]), form.batch(x[1:]))
    values = errors.values()
    assert values["normalised_error"] == pytest.approx(1 / 3)
    # In the units of the file: (3, 0) and (1, 0), then (-1, 1) twice.
    assert values["cosine_similarity"] == pytest.approx(1.0)


def test_items_that_share_all_their_tokens_are_counted():
    tokens = np.array([[[[0, 1]]], [[[0, 1]]], [[[1, 0]]], [[[0, 1]]]])  # (4, 1, 1, 2)
    values = form_of((5,)).of_tokens(tokens, 8, 2, error=0.5)
    assert values == {
        "bits_per_item": 6.0, "collision_rate": 0.5, "items_per_tuple": 2.0, "largest_tuple": 3.0,
    }  # fmt: skip
    assert form_of((5,)).of_tokens(tokens, 8, 0, error=0.5) == {}
    assert form_of(32).of_tokens(tokens, 8, 2, error=0.5) == {}


def test_the_digits_are_64_vectors_in_one_unit(data_root):
    items = DigitVectors().load(Data(), data_root)
    assert items.train.shape == (DigitVectors().train_count(Data()), 64) == (1457, 64)
    assert items.train.var(axis=0).mean() == pytest.approx(1, abs=1e-5)
    assert np.abs(items.train.mean(axis=0)).max() < 1e-5


def test_no_code_does_better_on_the_mixture_than_the_least_error(data_root):
    items = Mixture().load(Data(), data_root)
    rows = items.test * items.form.scale + items.form.mean
    power = (items.test.astype(np.float64) ** 2).sum()
    for size in (128, 64, 32):
        # Groups of orthogonal centres: as many rows of one sign as are neighbours.
        groups = mixture.centres().reshape(size, -1, 64).mean(axis=1)
        code = np.argmin(((rows[:, None] - groups) ** 2).sum(-1), axis=1)
        error = (((rows - groups[code]) / items.form.scale) ** 2).sum() / power
        assert error == pytest.approx(mixture.least_error(np.log2(size)), rel=0.02)
    assert mixture.least_error(7.0) == pytest.approx(0.0625 / 1.0625)
    assert mixture.least_error(39.0) == pytest.approx(0.0625 / 1.0625 / 2)
