import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from collapsebench.datasets import _cache, cut, data_root
from collapsebench.settings import UserError

SPLITS = {"train": np.array([0, 2, 4]), "val": np.array([1]), "test": np.array([3, 5])}
FACTS = {"dataset": "squares", "version": 1, "content_hash": "abc"}

# Decodes slowly and notes each image in a file; `builder.py ENTRY NOTES SECONDS`.
BUILDER = """
import sys, time
from pathlib import Path
import numpy as np
from collapsebench.datasets import _cache

class Slow:
    def __getitem__(self, index):
        with open(sys.argv[2], "a") as notes:
            notes.write(f"{index}\\n")
        time.sleep(float(sys.argv[3]))
        return np.full((4, 4, 3), index, np.uint8)

splits = {"train": np.arange(6), "val": np.arange(6, 8), "test": np.arange(8, 10)}
facts = {"dataset": "slow", "version": 1, "content_hash": "abc"}
_cache.build(Path(sys.argv[1]), 4, lambda: _cache.Source(Slow(), splits, str), facts)
"""


def _squares() -> _cache.Source:
    images = np.stack([np.full((4, 4, 3), i, np.uint8) for i in range(6)])
    return _cache.Source(images, SPLITS, "square {}".format)


def _start(folder: Path, notes: Path, seconds: float) -> subprocess.Popen:
    arguments = [sys.executable, "-c", BUILDER, str(folder), str(notes), str(seconds)]
    return subprocess.Popen(arguments)


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    folder = tmp_path / "arrays" / "squares"
    _cache.build(folder, 4, _squares, FACTS)
    return folder


def test_an_entry_holds_each_split_in_its_order(entry):
    arrays, facts = _cache.load(entry)
    found = {split: array[:, 0, 0, 0].tolist() for split, array in arrays.items()}
    assert found == {"train": [0, 2, 4], "val": [1], "test": [3, 5]}
    assert facts["content_hash"] == "abc"
    assert facts["split_hash"] == _cache.split_hash(SPLITS)


def test_arrays_are_mapped_and_writing_to_them_does_not_reach_the_file(entry):
    arrays, _ = _cache.load(entry)
    assert isinstance(arrays["train"], np.memmap)
    arrays["train"][:] = 9
    _cache.verify(entry)


def test_an_entry_is_built_once(entry):
    def read() -> _cache.Source:
        raise AssertionError("read again")

    _cache.build(entry, 4, read, FACTS)


def test_the_split_hash_sees_membership_and_order():
    swapped = {**SPLITS, "train": np.array([2, 0, 4])}
    moved = {"train": np.array([0, 2]), "val": np.array([4, 1]), "test": np.array([3, 5])}
    assert len({_cache.split_hash(s) for s in (SPLITS, swapped, moved)}) == 3


def test_two_processes_at_once_decode_once(tmp_path):
    folder, notes = tmp_path / "arrays" / "slow", tmp_path / "notes"
    processes = [_start(folder, notes, 0.1) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    assert sorted(map(int, notes.read_text().split())) == list(range(10))
    assert _cache.load(folder)[0]["test"][:, 0, 0, 0].tolist() == [8, 9]


def test_what_a_killed_process_left_is_wiped_by_the_next(tmp_path):
    folder, notes = tmp_path / "arrays" / "slow", tmp_path / "notes"
    process = _start(folder, notes, 60)
    deadline = time.monotonic() + 30
    while not notes.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = folder.with_name(".slow.building")
    assert left.is_dir()
    assert not folder.exists()
    assert _start(folder, notes, 0).wait() == 0
    assert not left.exists()
    assert _cache.load(folder)[0]["val"][:, 0, 0, 0].tolist() == [6, 7]


def test_an_image_of_another_size_is_named(tmp_path):
    folder = tmp_path / "arrays" / "squares"
    with pytest.raises(UserError, match=r"square 0 is uint8 \(4, 4, 3\), not uint8 \(8, 8, 3\)"):
        _cache.build(folder, 8, _squares, FACTS)
    assert [p.name for p in folder.parent.iterdir()] == [".squares.lock"]


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "arrays").write_text("a file where the folder should be")
    with pytest.raises(UserError, match=r"cannot write decoded images to .*squares"):
        _cache.build(tmp_path / "arrays" / "squares", 4, _squares, FACTS)


@pytest.mark.parametrize("file", ["train.npy", "val.npy", "entry.json"])
def test_a_torn_file_of_an_entry_is_named(entry, file):
    path = entry / file
    os.truncate(path, path.stat().st_size - 20)
    with pytest.raises(UserError, match=rf"{file} is damaged .*delete .*squares"):
        _cache.load(entry)


def test_verify_names_the_array_that_changed(entry):
    _cache.verify(entry)
    content = bytearray((entry / "test.npy").read_bytes())
    content[-1] ^= 1
    (entry / "test.npy").write_bytes(content)
    with pytest.raises(UserError, match=r"test\.npy has changed"):
        _cache.verify(entry)


def test_a_writable_root_holds_its_arrays_and_another_does_not(tmp_path, monkeypatch):
    assert _cache.place(tmp_path / "new", "x") == tmp_path / "new" / "arrays" / "x"
    unwritable = Path("/proc/self/root-of-data")
    if not Path("/proc/self").exists():
        pytest.skip("no folder here that nobody may write to")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert _cache.place(unwritable, "x") == tmp_path / "collapsebench" / "arrays" / "x"


def test_the_root_is_the_argument_then_the_variable_then_the_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("COLLAPSEBENCH_DATA", "/from/variable")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert data_root(Path("/from/argument")) == Path("/from/argument")
    assert data_root(None) == Path("/from/variable")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLLAPSEBENCH_DATA", "~/variable")
    assert data_root(None) == tmp_path / "variable"
    assert data_root(Path("~/argument")) == tmp_path / "argument"
    monkeypatch.delenv("COLLAPSEBENCH_DATA")
    assert data_root(None) == _cache.platform_cache() / "data"


def test_cut_is_the_same_everywhere():
    kept, held_out = cut(40, 4)
    assert held_out.tolist() == [8, 9, 29, 39]  # smallest of `printf %d I | sha256sum`
    assert sorted([*kept, *held_out]) == list(range(40))


def test_entry_facts_are_plain_json(entry):
    facts = json.loads((entry / "entry.json").read_text())
    assert set(facts) == {"dataset", "version", "content_hash", "split_hash", "sha256"}
