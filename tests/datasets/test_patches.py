from collections import Counter

import pytest
from sklearn.datasets import load_sample_images

from collapsebench.datasets.patches import Patches
from collapsebench.settings import Data

CORNERS = {"train": range(0, 417, 8), "val": range(448, 513, 8), "test": range(544, 609, 8)}


@pytest.mark.parametrize("split", CORNERS)
def test_crops_lie_on_the_stated_grid(split, tmp_path):
    photographs = load_sample_images().images
    found = getattr(Patches().load(Data(), tmp_path), split)
    expected = [
        photo[y : y + 32, x : x + 32].tobytes()
        for photo in photographs
        for y in range(0, 393, 8)
        for x in CORNERS[split]
    ]
    assert len(found) == len(expected) == (Patches.train_images if split == "train" else 900)
    assert Counter(crop.tobytes() for crop in found) == Counter(expected)


def test_no_crop_is_in_two_splits(tmp_path):
    images = Patches().load(Data(), tmp_path)
    train, val, test = (
        {image.tobytes() for image in split} for split in (images.train, images.val, images.test)
    )
    assert not (train & val) | (train & test) | (val & test)


def test_hashes_are_literals(tmp_path):
    images = Patches().load(Data(), tmp_path)
    assert (images.content_hash, images.split_hash) == ("c1ef34f251839d4a", "68a195ce6f2221a6")
