"""Arrays that are not what their names say: refused in one line before they are opened."""

import os
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from collapsebench.datasets import _arrays
from collapsebench.inspect import vectors

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


def npy(descr="<i8", shape="(8,)", content=bytes(64), version=1):
    """An .npy file that says what it likes of itself."""
    header = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    length = len(header).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + length + header.encode() + content


HEADERS = {  # what an .npy says -> what is said of it
    "timedelta": (npy("<m8[s]"), "tokens must be integers, not timedelta64[s]"),
    "datetime": (npy("<M8[s]"), "tokens must be integers, not datetime64[s]"),
    "text": (npy("<U4", "(4,)"), "tokens must be integers, not <U4"),
    "objects": (npy("|O"), "x.npy: cannot be read as .npy"),
    "fields": (npy([("a", "<i8")]), "tokens must be integers, not [('a', '<i8')]"),
    "a huge shape": (npy(shape=f"({10**15},)"), "x.npy: cannot be read as .npy"),
    "an endless shape": (npy(shape=f"({10**60},)"), "x.npy: cannot be read as .npy"),
    "a negative shape": (npy(shape="(-8,)"), "x.npy: cannot be read as .npy"),
    "a shape of truths": (npy(shape="(True,)"), "x.npy: cannot be read as .npy"),
    "a shape of text": (npy(shape="'8'"), "x.npy: cannot be read as .npy"),
    "no rows": (npy(shape="(0, 8)", content=b""), "x.npy: no tokens (shape (0, 8))"),
    "no axis": (npy(shape="()", content=bytes(8)), "x.npy: no tokens (shape ())"),
    "version 9": (npy(version=9), "x.npy: cannot be read as .npy"),
    "above 2^63": (npy("<u8", content=b"\xff" * 64), "token 18446744073709551615 is outside"),
    "below -2^62": (
        npy(content=(bytes(7) + b"\x80") * 8),
        "token -9223372036854775808 is negative",
    ),
    "nothing": (b"", "x.npy: cannot be read as .npy"),
    "a pickle": (b"\x80\x04N.", "x.npy: cannot be read as .npy"),
}
TENSORS = {  # what a .pt holds -> what is said of it
    "sparse": (torch.eye(4).to_sparse(), "x.pt: cannot be read as .pt"),
    "more than memory": (torch.zeros(1).expand(2**45), "x.pt: cannot be read as .pt"),
    "a text": ("tokens", "x.pt: holds a str, not a tensor"),
    "code": (torch.nn.Identity(), "x.pt: cannot be read as .pt"),
    "complex": (torch.ones(4, dtype=torch.complex64), "tokens must be integers, not complex64"),
}


@pytest.mark.parametrize(("content", "line"), HEADERS.values(), ids=HEADERS)
def test_an_npy_that_holds_no_tokens_is_refused(call, tmp_path, content, line):
    (tmp_path / "x.npy").write_bytes(content)
    call("inspect", "x.npy").refuses(line)


@pytest.mark.parametrize(("held", "line"), TENSORS.values(), ids=TENSORS)
def test_a_pt_that_holds_no_tokens_is_refused(call, tmp_path, held, line):
    torch.save(held, tmp_path / "x.pt")
    call("inspect", "x.pt").refuses(line)


CODES = {  # vectors (8, D) that are numbers, if odd ones
    "all equal": np.ones((8, 4)),
    "all zero": np.zeros((8, 4)),
    "of rank 1": np.outer(np.arange(8), np.ones(4)),
    "huge": np.arange(32).reshape(8, 4) * 1e300,
    "tiny": np.arange(32).reshape(8, 4) * 1e-320,
    "inf in a row": np.where(np.arange(8)[:, None] == 2, np.inf, np.ones((8, 4))),
    "one of them finite": np.where(np.arange(8)[:, None], np.nan, np.ones((8, 4))),
    "of one dimension": np.arange(8.0)[:, None],
    "of 20 000 dimensions": np.ones((8, 20_000)),
}


@pytest.mark.parametrize("codes", CODES.values(), ids=CODES)
def test_odd_vectors_of_a_codebook_are_told_of(call, tmp_path, codes):
    np.save(tmp_path / "x.npy", np.arange(64).reshape(8, 8) % 8)
    np.save(tmp_path / "codes.npy", codes)
    ended = call("inspect", "x.npy", "-K", "8", "--codebook", "codes.npy")
    assert ended.code == 0, ended.err
    assert ended.err == ""


def test_distances_and_axes_are_the_same_at_any_scale():
    codes = np.random.default_rng(0).normal(size=(64, 5))
    plain, huge = vectors.geometry(codes), vectors.geometry(np.ldexp(codes, 1000))
    np.testing.assert_array_equal(np.ldexp(plain.nearest, 1000), huge.nearest)
    np.testing.assert_array_equal(np.ldexp(plain.plane, 1000), huge.plane)
    assert plain.explained == huge.explained


def test_few_codes_of_many_dimensions_have_their_distances_in_the_plane():
    flat = np.random.default_rng(0).normal(size=(6, 2))
    codes = np.concatenate([flat, np.zeros((6, 100))], axis=1)
    plane = vectors.geometry(codes).plane
    apart = np.linalg.norm(flat[:, None] - flat, axis=2)
    np.testing.assert_allclose(np.linalg.norm(plane[:, None] - plane, axis=2), apart, atol=1e-7)


def test_a_type_that_numpy_does_not_know_is_read_by_torch(call, tmp_path):
    codes = torch.ones(8, dtype=torch.float8_e8m0fnu)
    save_file({"tokens": codes}, tmp_path / "x.safetensors")
    call("inspect", "x.safetensors").refuses("tokens must be integers, not float64")


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
