import hashlib

import numpy as np
import pytest

from collapsebench.datasets.cifar10_5k import CIFAR10Small
from collapsebench.settings import Data, UserError


@pytest.fixture
def known(monkeypatch):
    """Makes the given pixels the expected ones, in place of CIFAR10's."""

    def known(train: np.ndarray, test: np.ndarray) -> None:
        content = hashlib.sha256(train.tobytes() + test.tobytes()).hexdigest()[:16]
        monkeypatch.setattr(CIFAR10Small, "content", content)

    return known


def test_official_batches_and_archive_give_the_same_bytes(tmp_path, write_cifar10, known):
    train, test = write_cifar10(1003)
    heads = np.concatenate([train[1003 * b : 1003 * b + 1000] for b in range(5)])
    known(heads, test[:1000])
    official = CIFAR10Small().load(Data(), tmp_path)

    other = tmp_path / "other"
    other.mkdir()
    np.savez_compressed(other / "cifar10-5k.npz", x_train=heads, x_test=test[:1000])
    archive = CIFAR10Small().load(Data(), other)

    for split in ("train", "val", "test"):
        assert getattr(official, split).tobytes() == getattr(archive, split).tobytes()
    assert [len(official.train), len(official.val), len(official.test)] == [4500, 500, 1000]
    assert np.array_equal(official.test, test[:1000])
    assert official.split_hash == archive.split_hash


def test_other_pixels_are_refused_and_the_file_named(tmp_path):
    path = tmp_path / "cifar10-5k.npz"
    np.savez(
        path,
        x_train=np.zeros((5000, 32, 32, 3), np.uint8),
        x_test=np.zeros((1000, 32, 32, 3), np.uint8),
    )
    with pytest.raises(UserError, match=r"cifar10-5k\.npz does not hold the first images"):
        CIFAR10Small().load(Data(), tmp_path)


def test_a_truncated_archive_is_named(tmp_path):
    path = tmp_path / "cifar10-5k.npz"
    np.savez(path, x_train=np.zeros((50, 32, 32, 3), np.uint8))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"cifar10-5k\.npz cannot be read"):
        CIFAR10Small().load(Data(), tmp_path)


def test_missing_names_both_sources(tmp_path):
    line = CIFAR10Small().missing(Data(), tmp_path)
    assert line is not None
    assert "no data_batch_1, " in line
    assert f"put cifar10-5k.npz (arrays x_train, x_test) into {tmp_path}" in line


def test_the_hash_of_the_real_pixels_is_a_literal(tmp_path):
    assert CIFAR10Small().content_hash(Data(), tmp_path) == "4f56834a25ced655"
