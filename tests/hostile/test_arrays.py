"""Arrays that are not what their names say: refused in one line before they are opened."""

import os
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from collapsebench.datasets import _arrays

FILES = {  # what reads it -> its words, the last one's place taken by the file
    "inspect": ["inspect"],
    "codebook": ["inspect", "tokens.npy", "--codebook"],
    "diagnose": ["diagnose"],
    "grid": ["plan", "-g"],
    "method": ["plan", "-m"],
}
NAMES = {"inspect": "x.npz", "codebook": "x.npy", "diagnose": "x.parquet", "grid": "x.toml",
         "method": "x.py"}  # fmt: skip


def npz(path, shape, content, method=zipfile.ZIP_DEFLATED):
    """An .npz of one member that says it has a shape."""
    header = str({"descr": "<i8", "fortran_order": False, "shape": shape})
    padded = header.ljust(117) + "\n"
    data = b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded.encode() + content
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("tokens.npy", data)


@pytest.fixture
def small_is_large(monkeypatch):
    """A megabyte is taken for a gigabyte: bombs of tests are small."""
    monkeypatch.setattr(_arrays, "_LARGE", 2**20)


def test_an_npz_that_expands_a_thousandfold_is_refused(call, small_is_large, tmp_path):
    npz(tmp_path / "x.npz", (2**20,), bytes(8 * 2**20))
    call("inspect", "x.npz").refuses("that unpack to 8,388,736 are refused")


def test_the_same_tokens_uncompressed_are_read(call, small_is_large, tmp_path):
    npz(tmp_path / "x.npz", (2**20,), bytes(8 * 2**20), zipfile.ZIP_STORED)
    assert call("inspect", "x.npz", "-K", "4").code == 0


@pytest.mark.parametrize("shape", [(2**60,), (10**9, 10**9), (3,), (2**20, 2**20)])
def test_an_npz_that_says_more_than_it_holds_is_refused(call, tmp_path, shape):
    npz(tmp_path / "x.npz", shape, bytes(8))
    call("inspect", "x.npz").refuses("its header says")


def test_an_npz_within_an_npz_holds_no_tokens(call, tmp_path):
    npz(tmp_path / "inner.npz", (1,), bytes(8))
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.write(tmp_path / "inner.npz", "tokens.npz")
    call("inspect", "x.npz").refuses("x.npz: holds nothing")


def test_an_npy_shorter_than_its_header_is_refused(call, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros(100, np.int64))
    whole = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(whole[:-8])
    call("inspect", "x.npy").refuses("x.npy: cannot be read as .npy")


def test_a_parquet_of_one_value_said_a_million_times_is_refused(call, small_is_large, tmp_path):
    tokens = np.zeros(2**25, np.int16)
    table = pa.table({"tokens": tokens})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=len(tokens))
    call("inspect", "x.parquet").refuses("are refused; if they are meant, save them uncompressed")


def test_what_does_not_fit_the_memory_is_refused(call, tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", np.zeros((2, 8, 3), np.int64))

    class Memory:
        available = 100

    monkeypatch.setattr(_arrays.psutil, "virtual_memory", Memory)
    call("inspect", "x.npy", "--axis", "0").refuses("takes 0 GB, of 0 GB free")


@pytest.mark.parametrize("reader", FILES)
@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_regular_file_is_refused_before_it_is_opened(call, tmp_path, reader, kind):
    np.save(tmp_path / "tokens.npy", np.zeros((4, 4), np.int64))
    path = tmp_path / NAMES[reader]
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    call(*FILES[reader], path.name).refuses(path.name)


@pytest.mark.parametrize("method", ["fsq", "lfq", "bsq", "vq_vae"])
@pytest.mark.parametrize("size", [2**24 + 1, 2**30, 2**62])
def test_no_codebook_is_larger_than_can_be_counted(call, method, size):
    words = ["-g", "demo", "-m", method, "-K", str(size)]
    for command in ("plan", "run"):
        call(command, *words).refuses(
            "codebook_size must be a positive whole number up to 16,777,216"
        )
    call("lint", method, "--set", f"codebook_size={size}").refuses("up to 16,777,216")
