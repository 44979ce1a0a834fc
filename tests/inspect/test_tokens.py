"""Token files: every format gives the same tokens, and bad input one clear line."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from collapsebench.inspect.tokens import checked, largest_token, open_codebook, open_tokens
from collapsebench.settings import UserError

TOKENS = np.arange(60, dtype=np.uint16).reshape(5, 4, 3) % 17


def save(folder, suffix, array):
    path = folder / f"some{suffix}"
    if suffix == ".npy":
        np.save(path, array)
    elif suffix == ".npz":
        np.savez_compressed(path, tokens=array, labels=np.zeros(3))
    elif suffix == ".parquet":
        table = pa.table({"tokens": pa.array(array.tolist()), "name": ["x"] * len(array)})
        pq.write_table(table, path, row_group_size=2)
    else:
        torch.save({"tokens": torch.from_numpy(array.astype(np.int64)), "step": 3}, path)
    return path


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".parquet", ".pt"])
@pytest.mark.parametrize("piece", [7, 12, 1000])
def test_every_format_gives_the_same_tokens_in_pieces(tmp_path, suffix, piece):
    file = open_tokens(save(tmp_path, suffix, TOKENS))
    assert (file.rows, file.positions, file.codebooks, file.size) == (5, (4, 3), 1, 60)
    pieces = list(file.pieces(piece))
    assert [len(p) for p in pieces[:-1]] == [piece] * (len(pieces) - 1)
    assert np.concatenate(pieces).tolist() == TOKENS.ravel().tolist()


def test_last_axis_can_be_codebooks(tmp_path):
    file = open_tokens(save(tmp_path, ".npy", TOKENS), codebooks=3)
    assert (file.positions, file.codebooks, file.row_tokens) == ((4,), 3, 12)


def test_flat_parquet_column_is_single_tokens(tmp_path):
    file = open_tokens(save(tmp_path, ".parquet", TOKENS.ravel()))
    assert (file.rows, file.positions) == (60, ())


def test_largest_token_is_found_over_pieces(tmp_path):
    assert largest_token(open_tokens(save(tmp_path, ".npy", TOKENS)), piece=7) == 16


@pytest.mark.parametrize(
    ("array", "message"),
    [
        pytest.param(TOKENS.astype(np.float32), "integers, not float32", id="floats"),
        pytest.param(TOKENS > 3, "integers, not bool", id="booleans"),
        pytest.param(TOKENS[:0], "no tokens", id="empty"),
        pytest.param(np.asfortranarray(TOKENS), "Fortran order", id="Fortran order"),
        pytest.param(np.array(7), "no tokens", id="a number"),
    ],
)
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_arrays_that_are_not_tokens_are_refused(tmp_path, suffix, array, message):
    with pytest.raises(UserError, match=message):
        open_tokens(save(tmp_path, suffix, array))


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_objects_are_never_unpickled(tmp_path, suffix):
    array = np.array([[1, 2], None], dtype=object)
    with pytest.raises(UserError, match=r"some\.np. ?.*[Oo]bjects") as error:
        open_tokens(save(tmp_path, suffix, array))
    assert "\n" not in str(error.value)


def test_pickled_classes_are_refused(tmp_path):
    torch.save({"tokens": TOKENS}, tmp_path / "some.pt")  # a numpy array is a pickled class
    with pytest.raises(UserError, match=r"cannot be read as \.pt") as error:
        open_tokens(tmp_path / "some.pt")
    assert "\n" not in str(error.value)


def test_shape_must_end_in_the_codebooks(tmp_path):
    with pytest.raises(UserError, match=r"\(5, 4, 3\) does not end in 8 codebooks"):
        open_tokens(save(tmp_path, ".npy", TOKENS), codebooks=8)


def test_file_that_is_missing_unknown_or_damaged(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        open_tokens(tmp_path / "absent.npy")
    with pytest.raises(UserError, match=r"unknown format; did you mean '\.parquet'"):
        open_tokens(tmp_path / "tokens.parquets")
    for suffix in (".npy", ".npz", ".parquet", ".pt"):
        path = save(tmp_path, suffix, TOKENS)
        path.write_bytes(path.read_bytes()[:90])
        with pytest.raises(UserError, match="cannot be read as"):
            list(open_tokens(path).pieces(10))


def test_archive_of_several_arrays_needs_a_name(tmp_path):
    np.savez(tmp_path / "some.npz", a=TOKENS, b=TOKENS)
    with pytest.raises(UserError, match="holds a, b: name the one to read 'tokens'"):
        open_tokens(tmp_path / "some.npz")


@pytest.mark.parametrize(
    ("column", "message"),
    [
        pytest.param([[1, 2], [3]], "unequal lengths", id="ragged"),
        pytest.param([1, None], "1 empty values", id="null"),
        pytest.param(["a", "b"], "integers, not object", id="text"),
        pytest.param(pa.array([], pa.int32()), "no tokens", id="empty"),
    ],
)
def test_bad_parquet_columns_are_refused(tmp_path, column, message):
    pq.write_table(pa.table({"tokens": column}), tmp_path / "some.parquet")
    with pytest.raises(UserError, match=message):
        list(open_tokens(tmp_path / "some.parquet").pieces(10))


def test_tokens_are_checked_against_the_codebook(tmp_path):
    path = tmp_path / "t.npy"
    assert checked(path, np.array([0, 3], dtype=np.uint8), 4).dtype == np.int64
    with pytest.raises(UserError, match=r"t\.npy: token -1 is negative"):
        checked(path, np.array([2, -1]), 4)
    with pytest.raises(UserError, match=r"token 4 is outside a codebook of 4 codes \(0 to 3\)"):
        checked(path, np.array([4, 0]), 4)
    with pytest.raises(UserError, match="token 18446744073709551615 is outside"):
        checked(path, np.array([2**64 - 1], dtype=np.uint64), 4)


@pytest.mark.parametrize("suffix", [".npy", ".pt"])
def test_codebook_gets_an_axis_of_codebooks(tmp_path, suffix):
    vectors = np.random.default_rng(0).normal(size=(6, 2))
    path = tmp_path / f"codebook{suffix}"
    np.save(path, vectors) if suffix == ".npy" else torch.save(torch.from_numpy(vectors), path)
    assert open_codebook(path).shape == (1, 6, 2)
    assert np.allclose(open_codebook(path)[0], vectors)


@pytest.mark.parametrize(
    ("array", "codebooks", "message"),
    [
        pytest.param(np.zeros(6), 1, r"\(K, D\), not \(6,\)", id="flat"),
        pytest.param(np.zeros((2, 6, 3)), 1, r"\(K, D\), not \(2, 6, 3\)", id="two for one"),
        pytest.param(np.zeros((6, 3)), 2, r"\(2, K, D\), not \(6, 3\)", id="one for two"),
        pytest.param(np.full((6, 3), np.nan), 1, "finite numbers", id="not a number"),
    ],
)
def test_codebook_of_the_wrong_shape_is_refused(tmp_path, array, codebooks, message):
    np.save(tmp_path / "codebook.npy", array)
    with pytest.raises(UserError, match=message):
        open_codebook(tmp_path / "codebook.npy", codebooks)
