import numpy as np
import torch
from sklearn.datasets import load_digits

from collapsebench.datasets.digits import Digits
from collapsebench.settings import Data


def test_the_fixed_split_holds_every_digit_once(tmp_path):
    images = Digits().load(Data(), tmp_path)
    assert images.train.shape == (Digits.train_images, 32, 32, 3) == (1297, 32, 32, 3)
    assert images.val.shape == images.test.shape == (250, 32, 32, 3)
    assert images.train.dtype == np.uint8
    assert images.content_hash == Digits().content_hash(Data(), tmp_path) == "8f26b2bd9d135c25"
    assert images.split_hash == "e9380a1699f515e9"
    distinct = {i.tobytes() for i in np.concatenate([images.train, images.val, images.test])}
    assert len(distinct) == len({i.tobytes() for i in load_digits().images})


def test_pixels_are_the_bilinear_enlargement(tmp_path):
    images = Digits().load(Data(), tmp_path)
    small = torch.from_numpy(load_digits().images[:, None] * 255 / 16)
    large = torch.nn.functional.interpolate(small, size=(32, 32), mode="bilinear").numpy()[:, 0]
    found = images.train[:20].astype(float)
    assert (found[..., :1] == found).all()  # grey
    # Each is within rounding (input, two passes) of some enlarged original.
    error = np.abs(found[:, None, ..., 0] - large[None]).max(axis=(2, 3)).min(axis=1)
    assert error.max() <= 1.5
