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


def test_pictures_of_any_mode_become_rgb(tmp_path):
    (tmp_path / "mixed").mkdir()
    hidden = Image.new("RGBA", (32, 32), (7, 7, 7, 0))  # a colour that nobody sees
    deep = Image.fromarray(np.full((32, 32), 255 * 257, np.uint16))
    white = [Image.new("L", (32, 32), 255), hidden, deep, Image.new("CMYK", (32, 32))]
    for i in range(12):
        white[i % 4].save(tmp_path / "mixed" / f"{i}.{'png' if i % 4 < 3 else 'jpg'}")
    images = Folder().load(Data(path=str(tmp_path / "mixed")), tmp_path)
    assert [part.shape[0] for part in (images.train, images.val, images.test)] == [10, 1, 1]
    assert all((part == 255).all() for part in (images.train, images.val, images.test))


def test_a_picture_without_a_certain_meaning_is_refused_by_name(pictures, tmp_path):
    path = pictures / "train" / "a" / "float.tif"
    Image.fromarray(np.zeros((32, 32), np.float32)).save(path)
    with pytest.raises(UserError, match=r"train/a/float\.tif is refused: its pixels are floats"):
        Folder().load(Data(path=str(pictures)), tmp_path)


def test_usual_names_of_splits_and_a_folder_around_them(pictures, tmp_path):
    plain = Folder().load(Data(path=str(pictures)), tmp_path)
    (pictures / "train").rename(pictures / "Training")
    (pictures / "test").rename(pictures / "TEST")
    pictures.rename(tmp_path / "data")
    around = tmp_path / "around"
    around.mkdir()
    (tmp_path / "data").rename(around / "data")
    images = Folder().load(Data(path=str(around)), tmp_path)
    assert images.split_hash == plain.split_hash
    assert _levels(images.test) == _levels(plain.test) == list(range(20, 30))
    assert _levels(np.concatenate([images.train, images.val])) == list(range(20))


def test_copies_in_hidden_folders_are_no_data(pictures, tmp_path):
    before = Folder().content_hash(Data(path=str(pictures)), tmp_path)
    for part in ("train/a", "test/a"):
        _save(pictures / part / ".ipynb_checkpoints" / "20-checkpoint.png", 99)
        _save(pictures / part / "._20.png", 99)
    assert Folder().content_hash(Data(path=str(pictures)), tmp_path) == before
    images = Folder().load(Data(path=str(pictures)), tmp_path)
    assert 99 not in _levels(np.concatenate([images.train, images.val, images.test]))
    assert Folder().notes(Data(path=str(pictures)), tmp_path) == [
        "val was cut from train",
        "left out, hidden, or put there by the system: 4 (test/a/._20.png, "
        "test/a/.ipynb_checkpoints/, train/a/._20.png and 1 more)",
    ]


def test_pictures_beside_the_splits_are_refused_before_anything_is_read(pictures, tmp_path):
    _save(pictures / "loose.png", 1)
    line = Folder().missing(Data(path=str(pictures)), tmp_path)
    assert line is not None
    assert "beside test/, train/ lie loose.png" in line
    with pytest.raises(UserError, match=r"beside test/, train/ lie loose\.png"):
        Folder().content_hash(Data(path=str(pictures)), tmp_path)


def test_too_few_pictures_to_train_on_are_refused_before_anything_is_read(tmp_path):
    for i in range(20):
        _save(tmp_path / "few" / ("train" if i < 7 else "test") / f"{i}.png", i)
    line = Folder().missing(Data(path=str(tmp_path / "few")), tmp_path)
    assert line == (
        f"6 images to train on in {tmp_path / 'few'}, beside 1 val and 13 test images: "
        "at least 7 are needed"
    )


def test_a_leading_tilde_is_the_home_folder(pictures, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = Data(path="~/pictures")
    assert Folder().missing(settings, tmp_path) is None
    assert len(Folder().load(settings, tmp_path).test) == 10


def test_a_torn_note_of_the_hash_is_made_anew(pictures, tmp_path):
    settings = Data(path=str(pictures))
    before = Folder().content_hash(settings, tmp_path)
    [note] = (tmp_path / "arrays").glob("folder-*.json")
    for text in ("", "[]", "{", '{"state": 1}'):
        note.write_text(text)
        assert Folder().content_hash(settings, tmp_path) == before


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
