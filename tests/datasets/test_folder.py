import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from collapsebench.datasets.folder import Folder
from collapsebench.settings import Data, UserError


def _save(path: Path, level: int, size: tuple[int, int] = (32, 32)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (level, 0, 0)).save(path)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Thirty red PNGs, level = index, in train/a, train/b and test/a."""
    for i in range(30):
        part = "test/a" if i >= 20 else "train/b" if i % 2 else "train/a"
        _save(tmp_path / "pictures" / part / f"{i:02d}.png", i)
    return tmp_path / "pictures"


def _levels(images: np.ndarray) -> list[int]:
    return sorted(images[:, 0, 0, 0].tolist())


def test_train_and_test_folders_are_the_splits_and_val_is_cut_from_train(pictures, tmp_path):
    images = Folder().load(Data(path=str(pictures)), tmp_path)
    assert _levels(images.test) == list(range(20, 30))
    assert _levels(np.concatenate([images.train, images.val])) == list(range(20))
    assert len(images.val) == 2


def test_any_few_images_come_from_several_classes(tmp_path):
    for i in range(40):
        _save(tmp_path / "sorted" / str(i // 10) / f"{i:02d}.png", i)
    images = Folder().load(Data(path=str(tmp_path / "sorted")), tmp_path)
    assert len({level // 10 for level in _levels(images.train[:8])}) >= 3


def test_a_val_folder_is_used_if_there_is_one(pictures, tmp_path):
    _save(pictures / "val" / "x.png", 99)
    images = Folder().load(Data(path=str(pictures)), tmp_path)
    assert (_levels(images.val), _levels(images.train)) == ([99], list(range(20)))


def test_one_folder_is_cut_at_random_the_same_way_each_time(tmp_path):
    for i in range(40):
        _save(tmp_path / "one" / f"{i:02d}.png", i)
    images = Folder().load(Data(path=str(tmp_path / "one")), tmp_path)
    assert [len(images.train), len(images.val), len(images.test)] == [33, 3, 4]
    assert _levels(np.concatenate([images.train, images.val, images.test])) == list(range(40))
    assert _levels(images.test) == [8, 9, 29, 39]  # printf %d I | sha256sum | sort | head -4


def test_the_shorter_side_is_resized_then_cropped(tmp_path):
    ramp = np.zeros((48, 64, 3), np.uint8)
    ramp[..., 1] = np.arange(64)
    for i in range(12):
        path = tmp_path / "ramps" / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(ramp).save(path)
    images = Folder().load(Data(path=str(tmp_path / "ramps"), image_size=24), tmp_path)
    # 64 x 48 -> 32 x 24 halves the ramp: 0.5, 2.5, ...; the crop starts at column 4.
    assert images.train.shape[1:] == (24, 24, 3)
    middle = images.train[0, 12, :, 1].astype(float)
    assert np.abs(middle - (2 * np.arange(4, 28) + 0.5)).max() <= 0.5


def test_grey_and_transparent_pictures_become_rgb(tmp_path):
    for i in range(10):
        (tmp_path / "mixed").mkdir(exist_ok=True)
        Image.new("L" if i % 2 else "RGBA", (32, 32), 7 if i % 2 else (7, 7, 7, 0)).save(
            tmp_path / "mixed" / f"{i}.png"
        )
    images = Folder().load(Data(path=str(tmp_path / "mixed")), tmp_path)
    assert (images.train == 7).all()


def test_the_hash_is_of_the_content_not_of_times(pictures, tmp_path):
    settings = Data(path=str(pictures))
    before = Folder().content_hash(settings, tmp_path)
    os.utime(pictures / "test/a/25.png", (1, 1))
    assert Folder().content_hash(settings, tmp_path) == before
    _save(pictures / "test/a/25.png", 200)
    changed = Folder().content_hash(settings, tmp_path)
    assert changed != before
    (pictures / "test/a/25.png").rename(pictures / "test/a/35.png")
    assert Folder().content_hash(settings, tmp_path) not in (before, changed)


def test_the_hash_does_not_read_unchanged_files_again(pictures, tmp_path):
    settings, path = Data(path=str(pictures)), pictures / "test/a/25.png"
    before = Folder().content_hash(settings, tmp_path)
    times = path.stat().st_mtime_ns
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(times, times))  # same name, size and time: taken as unchanged
    assert Folder().content_hash(settings, tmp_path) == before
    os.utime(path, ns=(times, times + 1))
    assert Folder().content_hash(settings, tmp_path) != before


def test_a_copy_elsewhere_has_the_same_hash(pictures, tmp_path):
    before = Folder().content_hash(Data(path=str(pictures)), tmp_path)
    moved = pictures.rename(tmp_path / "elsewhere")
    assert Folder().content_hash(Data(path=str(moved)), tmp_path) == before


def test_a_truncated_picture_is_named(pictures, tmp_path):
    rng = np.random.default_rng(0)
    path = pictures / "train" / "a" / "noise.jpg"
    Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(UserError, match=r"cannot decode .*train/a/noise\.jpg"):
        Folder().load(Data(path=str(pictures)), tmp_path)
    assert not [p for p in (tmp_path / "arrays").iterdir() if p.is_dir()]


def test_a_file_that_is_no_picture_is_named(pictures, tmp_path):
    (pictures / "train" / "notes.png").write_text("not a picture")
    with pytest.raises(UserError, match=r"cannot decode .*train/notes\.png"):
        Folder().load(Data(path=str(pictures)), tmp_path)


def test_too_few_pictures_or_no_folder_is_one_line(tmp_path):
    assert "--set data.path=FOLDER" in str(Folder().missing(Data(), tmp_path))
    line = Folder().missing(Data(path=str(tmp_path / "none")), tmp_path)
    assert line is not None
    assert line.startswith(f"0 images in {tmp_path / 'none'}: at least 10 should lie there")
    with pytest.raises(UserError, match="0 images in"):
        Folder().content_hash(Data(path=str(tmp_path / "none")), tmp_path)


def test_a_test_folder_without_train_is_refused(tmp_path):
    for i in range(10):
        _save(tmp_path / "half" / "test" / f"{i}.png", i)
    with pytest.raises(UserError, match=r"no images in .*train"):
        Folder().load(Data(path=str(tmp_path / "half")), tmp_path)
