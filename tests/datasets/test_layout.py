"""Which files are images and in which split: understood, or refused with what lies there."""

import os
import re
from pathlib import Path

import pytest

from collapsebench.datasets._layout import listing, splits
from collapsebench.settings import UserError


def _divided(*names: str) -> dict[str, list[str]]:
    ordered = sorted(names)
    found = splits(ordered, Path("pictures"))
    return {split: [ordered[index] for index in part] for split, part in found.items()}


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("train", "val", "test"),
        ("Train", "Valid", "Test"),
        ("TRAINING", "validation", "Testing"),
        ("train", "dev", "test"),
        ("data/train", "data/val", "data/test"),
        ("a/b/Training", "a/b/dev", "a/b/TEST"),
    ],
)
def test_usual_names_of_splits_are_understood(train, val, test):
    names = [f"{train}/x/1.png", f"{train}/2.png", f"{val}/3.png", f"{test}/y/z/4.png"]
    assert _divided(*names) == {"train": sorted(names[:2]), "val": names[2:3], "test": names[3:]}


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["1.png", "b.png"], id="loose"),
        pytest.param(["cat/1.png", "dog/2.png", "3.png"], id="classes and loose images"),
        pytest.param(["data/cat/1.png", "data/dog/2.png"], id="classes in one folder"),
        pytest.param(["train/cat/1.png", "train/dog/2.png"], id="train alone"),
        pytest.param(["train/train/1.png", "train/train/2.png"], id="train in train"),
        pytest.param(["train_station/1.png", "bullet_train/2.png"], id="classes of trains"),
        pytest.param(["animals/cat/1.png", "vehicles/train/2.png"], id="a class in a class"),
        pytest.param(["latest/1.png", "evaluate/2.png", "contrail.png"], id="parts of words"),
        pytest.param(["train2017/1.png", "train2017/2.png"], id="one split by another name"),
    ],
)
def test_what_names_no_two_splits_is_all_train(names):
    assert _divided(*names) == {"train": sorted(names)}


def test_a_class_may_be_called_train_if_every_split_has_it():
    names = ["train/car/1.png", "train/train/2.png", "test/car/3.png", "test/train/4.png"]
    assert _divided(*names) == {"train": names[:2], "test": names[2:]}


@pytest.mark.parametrize(
    ("names", "what"),
    [
        pytest.param(
            ["train/1.png", "test/2.png", "3.png", "4.png"],
            "beside test/, train/ lie 3.png, 4.png",
            id="loose images beside splits",
        ),
        pytest.param(
            ["train/1.png", "test/2.png", "extra/3.png"],
            "beside test/, train/ lie extra/",
            id="a folder beside splits",
        ),
        pytest.param(["train/1.png", "eval/2.png"], "beside train/ lie eval/", id="eval"),
        pytest.param(["car/1.png", "train/2.png"], "beside train/ lie car/", id="car or train"),
        pytest.param(
            ["train/1.png", "val/2.png", "valid/3.png"],
            "train/, val/, valid/ name one split twice",
            id="two names of val",
        ),
        pytest.param(
            ["Train/1.png", "train/2.png"], "Train/, train/ name one split twice", id="two of train"
        ),
        pytest.param(
            ["cat/train/1.png", "cat/test/2.png", "dog/train/3.png"],
            "cat/test/2.png, cat/train/1.png seem to name splits",
            id="splits in classes",
        ),
        pytest.param(
            ["train/train/1.png", "train/test/2.png"],
            "train/test/ lie in another split",
            id="splits in a folder called train",
        ),
        pytest.param(
            ["train/cat/1.png", "train/val/2.png", "test/cat/3.png"],
            "train/val/ lie in another split",
            id="val in train",
        ),
        pytest.param(
            ["train2017/1.png", "val2017/2.png"],
            "train2017/1.png, val2017/2.png seem to name splits",
            id="years",
        ),
        pytest.param(
            ["trainA/1.png", "testA/2.png"],
            "testA/2.png, trainA/1.png seem to name splits",
            id="domains",
        ),
        pytest.param(
            ["train_images/1.png", "test_images/2.png"], "seem to name splits", id="images"
        ),
        pytest.param(["trainset/1.png", "testset/2.png"], "seem to name splits", id="sets"),
        pytest.param(["training-set/1.png", "eval/2.png"], "seem to name splits", id="eval too"),
        pytest.param(
            ["cat/train_set/1.png", "cat/test_set/2.png"], "seem to name splits", id="inner sets"
        ),
        pytest.param(["train_1.png", "test_1.png"], "seem to name splits", id="names of files"),
    ],
)
def test_an_unclear_division_is_refused_with_what_lies_there(names, what):
    message = rf"pictures: unclear which images are train, val and test: .*{re.escape(what)}; put"
    with pytest.raises(UserError, match=message):
        _divided(*names)


def _write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def test_hidden_files_and_those_of_systems_are_left_out_and_said(tmp_path):
    _write(tmp_path, "a.png", "b/c.JPG")
    hidden = [
        "._a.png", ".DS_Store", ".hidden.png", "__MACOSX/a.png", "b/.ipynb_checkpoints/c.jpg",
        "b/@eaDir/c.jpg", "b/Thumbs.db", "desktop.ini",
    ]  # fmt: skip
    _write(tmp_path, *hidden, "README.md", "b/labels.csv", "b/d.png~")
    found = listing(tmp_path)
    assert found.names == ["a.png", "b/c.JPG"]
    assert [bytes_ for _, bytes_, _ in found.files] == [1, 1]
    (why_hidden, hidden_names), (why_others, others) = sorted(found.left_out.items())
    assert why_hidden == "hidden, or put there by the system"
    assert sorted(hidden_names) == [
        ".DS_Store", "._a.png", ".hidden.png", "__MACOSX/", "b/.ipynb_checkpoints/", "b/@eaDir/",
        "b/Thumbs.db", "desktop.ini",
    ]  # fmt: skip
    assert why_others.startswith("no image by its name (.bmp .gif")
    assert sorted(others) == ["README.md", "b/d.png~", "b/labels.csv"]


def test_links_are_followed_once(tmp_path):
    _write(tmp_path / "pictures", "a/1.png")
    _write(tmp_path, "elsewhere/2.png")
    (tmp_path / "pictures" / "b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "pictures" / "3.png").symlink_to(tmp_path / "elsewhere" / "2.png")
    assert listing(tmp_path / "pictures").names == ["3.png", "a/1.png", "b/2.png"]
    (tmp_path / "pictures" / "a" / "up").symlink_to(tmp_path / "pictures")
    with pytest.raises(UserError, match="are one folder: its images would be read twice"):
        listing(tmp_path / "pictures")


def test_a_link_from_one_split_to_another_is_refused(tmp_path):
    _write(tmp_path, "train/1.png")
    (tmp_path / "test").symlink_to(tmp_path / "train")
    with pytest.raises(UserError, match=r"test.* and .*train are one folder|train and .*test are"):
        listing(tmp_path)


@pytest.mark.parametrize("kind", ["fifo", "broken link", "link to itself"])
def test_what_is_no_file_but_named_like_an_image_is_refused(tmp_path, kind):
    if kind == "fifo":
        os.mkfifo(tmp_path / "a.png")
    else:
        (tmp_path / "a.png").symlink_to("a.png" if kind == "link to itself" else "absent.png")
    with pytest.raises(UserError, match=r"a\.png"):
        listing(tmp_path)
