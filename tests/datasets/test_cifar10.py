import pickle
from pathlib import Path

import numpy as np
import pytest

from collapsebench.datasets.cifar10 import CIFAR10
from collapsebench.settings import Data, UserError


def test_batches_are_read_pixel_by_pixel_and_a_tenth_is_held_out(tmp_path, write_cifar10):
    train, test = write_cifar10(20)
    images = CIFAR10().load(Data(), tmp_path)
    assert np.array_equal(images.test, test)
    assert (len(images.train), len(images.val)) == (90, 10)
    pool = {image.tobytes() for image in [*images.train, *images.val]}
    assert pool == {image.tobytes() for image in train}


def test_the_archives_published_checksum_is_known_without_files(tmp_path):
    assert CIFAR10().content_hash(Data(), tmp_path) == "c58f30108f718f92721af3b95e74349a"


def test_absent_files_are_named_with_their_folder_and_source(tmp_path, write_cifar10):
    write_cifar10(10)
    (tmp_path / "cifar-10-batches-py" / "data_batch_3").unlink()
    line = CIFAR10().missing(Data(), tmp_path)
    assert line is not None
    assert line.startswith(f"CIFAR10: no data_batch_3 in {tmp_path / 'cifar-10-batches-py'}; ")
    assert "https://www.cs.toronto.edu/~kriz/cifar.html" in line
    assert "\n" not in line
    with pytest.raises(UserError, match="no data_batch_3"):
        CIFAR10().load(Data(), tmp_path)


def test_prepared_arrays_need_the_files_no_more(tmp_path, write_cifar10):
    _, test = write_cifar10(10)
    CIFAR10().load(Data(), tmp_path)
    (tmp_path / "cifar-10-batches-py" / "test_batch").unlink()
    assert CIFAR10().missing(Data(), tmp_path) is None
    assert np.array_equal(CIFAR10().load(Data(), tmp_path).test, test)


class _WritesAFile:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_pickle_with_the_wrong_checksum_is_named_and_never_opened(tmp_path, write_cifar10):
    write_cifar10(10)
    path, witness = tmp_path / "cifar-10-batches-py" / "data_batch_5", tmp_path / "opened"
    path.write_bytes(pickle.dumps(_WritesAFile(witness)))
    with pytest.raises(UserError, match=r"data_batch_5 is not the published file"):
        CIFAR10().load(Data(), tmp_path)
    assert not witness.exists()
    assert not [p for p in (tmp_path / "arrays").iterdir() if p.is_dir()]
    pickle.loads(path.read_bytes())
    assert witness.exists()  # the file would have acted
