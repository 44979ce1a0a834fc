"""Token files: every format gives the same tokens, and bad input one clear line."""

import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.torch
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
    elif suffix == ".safetensors":
        tensors = {"tokens": torch.from_numpy(array.astype(np.int64)), "step": torch.tensor(3)}
        safetensors.torch.save_file(tensors, path)
    else:
        torch.save({"tokens": torch.from_numpy(array.astype(np.int64)), "step": 3}, path)
    return path


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".parquet", ".pt", ".safetensors"])
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


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".parquet", ".pt", ".safetensors"])
@pytest.mark.parametrize("axis", [0, 1])
def test_any_axis_can_be_codebooks(tmp_path, suffix, axis):
    file = open_tokens(save(tmp_path, suffix, np.moveaxis(TOKENS, -1, axis).copy()), axis=axis)
    assert (file.rows, file.positions, file.codebooks) == (5, (4,), 3)
    assert np.concatenate(list(file.pieces(7))).tolist() == TOKENS.ravel().tolist()


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
    with pytest.raises(UserError, match="does not have, along axis 1, 3 codebooks"):
        open_tokens(save(tmp_path, ".npy", TOKENS), codebooks=3, axis=1)
    with pytest.raises(UserError, match=r"\(5, 4, 3\) has no axis 3 of codebooks"):
        open_tokens(save(tmp_path, ".npy", TOKENS), axis=3)


def test_file_that_is_missing_unknown_or_damaged(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        open_tokens(tmp_path / "absent.npy")
    with pytest.raises(UserError, match=r"unknown format; did you mean '\.parquet'"):
        open_tokens(tmp_path / "tokens.parquets")
    for suffix in (".npy", ".npz", ".parquet", ".pt", ".safetensors"):
        path = save(tmp_path, suffix, TOKENS)
        path.write_bytes(path.read_bytes()[:90])
        with pytest.raises(UserError, match="cannot be read as"):
            list(open_tokens(path).pieces(10))


def test_several_arrays_need_a_name(tmp_path):
    np.savez(tmp_path / "some.npz", a=TOKENS, b=TOKENS)
    with pytest.raises(UserError, match="holds a, b: name the one to read 'tokens'"):
        open_tokens(tmp_path / "some.npz")
    torch.save({i: torch.arange(3) for i in range(9)}, tmp_path / "some.pt")  # keys are integers
    with pytest.raises(UserError, match="holds 0, 1, 2 and 6 more: name the one to read 'tokens'"):
        open_tokens(tmp_path / "some.pt")
    torch.save({7: torch.arange(3)}, tmp_path / "some.pt")
    assert open_tokens(tmp_path / "some.pt").rows == 3


@pytest.mark.parametrize("shape", [b"(90,)", b"(30,)"])
def test_an_archive_unlike_its_header_is_refused(tmp_path, shape):
    np.savez(tmp_path / "some.npz", np.arange(60))
    path = tmp_path / "some.npz"
    with zipfile.ZipFile(path) as archive:
        content = archive.read("arr_0.npy").replace(b"(60,)", shape)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("arr_0.npy", content)
    with pytest.raises(UserError, match=r"arr_0\.npy has 608 bytes, its header says"):
        open_tokens(path)


def test_an_archive_without_arrays_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "some.npz", "w") as archive:
        archive.writestr("notes.txt", "hello")
    with pytest.raises(UserError, match="holds nothing: name the one to read 'tokens'"):
        open_tokens(tmp_path / "some.npz")


def test_a_list_of_tensors_is_refused(tmp_path):
    torch.save([torch.arange(3), torch.arange(4)], tmp_path / "some.pt")
    with pytest.raises(UserError, match="holds a list, not a tensor"):
        open_tokens(tmp_path / "some.pt")


def test_a_folder_of_parquet_parts_is_one_file(tmp_path):
    parts = {"part-0": TOKENS[:2], "part-1": TOKENS[:0], "b/part-2": TOKENS[2:]}
    for name, rows in parts.items():
        path = tmp_path / "tokens" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        column = pa.array(rows.tolist(), pa.list_(pa.list_(pa.int32())))
        pq.write_table(pa.table({"tokens": column}), path)
    for hidden in ("_temporary.parquet", ".part-0.parquet", "_SUCCESS"):
        (tmp_path / "tokens" / hidden).write_bytes(b"")
    file = open_tokens(tmp_path / "tokens")
    assert (file.rows, file.positions) == (5, (4, 3))
    read = np.concatenate(list(file.pieces(7))).reshape(5, 4, 3)
    assert read.tolist() == TOKENS[[2, 3, 4, 0, 1]].tolist()  # b/ comes before part-0


def test_parquet_parts_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"no tokens \(no \.parquet file in it\)"):
        open_tokens(tmp_path)
    pq.write_table(pa.table({"tokens": [[1, 2]]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"tokens": [[1, 2, 3]]}), tmp_path / "b.parquet")
    with pytest.raises(UserError, match=r"b\.parquet: rows of unequal lengths"):
        open_tokens(tmp_path)
    pq.write_table(pa.table({"tokens": [[1.5, 2.0]]}), tmp_path / "b.parquet")
    with pytest.raises(UserError, match="integers, not float64"):
        open_tokens(tmp_path)


def test_a_leading_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    save(tmp_path, ".npy", TOKENS)
    assert open_tokens(Path("~/some.npy")).size == 60


@pytest.mark.parametrize(
    ("column", "message"),
    [
        pytest.param([[1, 2], [3]], "unequal lengths", id="ragged"),
        pytest.param([1, None], "1 empty values", id="null"),
        pytest.param([None, [1, 2]], "1 empty values", id="null first row"),
        pytest.param([[1, 2], None], "1 empty values", id="null second row"),
        pytest.param([[], [1]], "no tokens", id="empty first row"),
        pytest.param([{"a": 1}], "cannot be read as .parquet", id="struct"),
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
    with pytest.raises(UserError, match=r"t\.npy: token -1 is negative; .* --ignore -1"):
        checked(path, np.array([2, -1]), 4)
    assert checked(path, np.array([2, 9, 0], dtype=np.uint8), 4, ignore=9).tolist() == [2, -1, 0]
    with pytest.raises(UserError, match=r"token 4 is outside a codebook of 4 codes \(0 to 3\)"):
        checked(path, np.array([4, 0]), 4)
    with pytest.raises(UserError, match="token 18446744073709551615 is outside"):
        checked(path, np.array([2**64 - 1], dtype=np.uint64), 4)


VECTORS = torch.linspace(-1, 1, 12).reshape(6, 2)


@pytest.mark.parametrize(
    ("name", "vectors"),
    [
        pytest.param("codebook.npy", VECTORS, id="array"),
        pytest.param("codebook.pt", VECTORS, id="tensor"),
        pytest.param("codebook.pt", torch.nn.Parameter(VECTORS), id="parameter"),
        pytest.param("codebook.pt", VECTORS.bfloat16(), id="bfloat16"),
        pytest.param("codebook.safetensors", VECTORS, id="safetensors"),
        pytest.param("codebook.safetensors", VECTORS.bfloat16(), id="safetensors of bfloat16"),
    ],
)
def test_codebook_gets_an_axis_of_codebooks(tmp_path, name, vectors):
    path = tmp_path / name
    if path.suffix == ".npy":
        np.save(path, vectors.numpy())
    elif path.suffix == ".pt":
        torch.save(vectors, path)
    else:
        safetensors.torch.save_file({"codebook": vectors}, path)
    assert open_codebook(path).shape == (1, 6, 2)
    assert open_codebook(path)[0] == pytest.approx(vectors.detach().double().numpy())


@pytest.mark.parametrize(
    ("array", "codebooks", "message"),
    [
        pytest.param(np.zeros(6), 1, r"\(K, D\), not \(6,\)", id="flat"),
        pytest.param(np.zeros((2, 6, 3)), 1, r"\(K, D\), not \(2, 6, 3\)", id="two for one"),
        pytest.param(np.zeros((6, 3)), 2, r"\(2, K, D\), not \(6, 3\)", id="one for two"),
        pytest.param(np.full((6, 3), np.nan), 1, "finite numbers", id="not a number"),
        pytest.param(np.array([["a"]]), 1, "holds numbers, not <U1", id="text"),
    ],
)
def test_codebook_of_the_wrong_shape_is_refused(tmp_path, array, codebooks, message):
    np.save(tmp_path / "codebook.npy", array)
    with pytest.raises(UserError, match=message):
        open_codebook(tmp_path / "codebook.npy", codebooks)
