import hashlib

import numpy as np
import pytest
from PIL import Image

from collapsebench.datasets.celeba import CelebA
from collapsebench.settings import Data, UserError

PARTITION = (0, 0, 2, 1, 0, 1, 2, 0, 2, 0)


@pytest.fixture
def celeba(tmp_path, monkeypatch):
    """Ten noise portraits of 178 x 218 in CelebA's layout; the root."""
    from torchvision.datasets import CelebA as Official

    folder = tmp_path / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    rng = np.random.default_rng(1)
    names = [f"{i:06d}.jpg" for i in range(1, len(PARTITION) + 1)]
    for name in names:
        smooth = Image.fromarray(rng.integers(0, 256, (27, 22, 3), dtype=np.uint8))
        smooth.resize((178, 218)).save(folder / "img_align_celeba" / name, quality=95)

    def lines(file: str, values: list[str], header: list[str]) -> None:
        rows = [f"{name} {value}" for name, value in zip(names, values, strict=True)]
        (folder / file).write_text("\n".join([*header, *rows]) + "\n")

    lines("list_eval_partition.txt", [str(code) for code in PARTITION], [])
    lines("identity_CelebA.txt", ["1"] * len(names), [])
    lines("list_attr_celeba.txt", ["-1  1"] * len(names), ["10", "Bald Young"])
    lines("list_bbox_celeba.txt", ["1 2 3 4"] * len(names), ["10", "image_id x_1 y_1 width height"])
    lines("list_landmarks_align_celeba.txt", ["1 2"] * len(names), ["10", "lefteye_x lefteye_y"])
    table = [
        ("", hashlib.md5((folder / file).read_bytes()).hexdigest() if text else "", file)
        for _, _, file in Official.file_list
        for text in [file.endswith(".txt")]
    ]
    monkeypatch.setattr(Official, "file_list", table)
    return tmp_path


def test_splits_are_the_published_ones(celeba):
    images = CelebA().load(Data(), celeba)
    shapes = [images.train.shape, images.val.shape, images.test.shape]
    assert shapes == [(5, 64, 64, 3), (2, 64, 64, 3), (3, 64, 64, 3)]


def test_preprocessing_equals_torchvisions_pixel_by_pixel(celeba):
    from torchvision import transforms

    images = CelebA().load(Data(), celeba)
    steps = transforms.Compose(
        [transforms.CenterCrop(140), transforms.Resize(64), transforms.ToTensor()]
    )
    ours = {0: images.train[0], 3: images.val[0], 2: images.test[0], 9: images.train[4]}
    for index, image in ours.items():
        with Image.open(celeba / "celeba" / "img_align_celeba" / f"{index + 1:06d}.jpg") as file:
            expected = steps(file).permute(1, 2, 0).numpy()
        assert np.array_equal(image.astype(np.float32) / 255, expected)


def test_preprocessing_is_a_crop_and_an_antialiased_bilinear_resize(celeba):
    image = CelebA().load(Data(), celeba).train[0]
    with Image.open(celeba / "celeba" / "img_align_celeba" / "000001.jpg") as file:
        pixels = np.asarray(file)[39 : 39 + 140, 19 : 19 + 140]
    resized = Image.fromarray(pixels).resize((64, 64), Image.Resampling.BILINEAR)
    assert np.array_equal(image, np.asarray(resized))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_truncated_jpeg_is_named_and_nothing_half_built_stays(celeba):
    path = celeba / "celeba" / "img_align_celeba" / "000006.jpg"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UserError, match=r"cannot decode .*img_align_celeba/000006\.jpg.*truncated"):
        CelebA().load(Data(), celeba)
    assert not [p for p in (celeba / "arrays").iterdir() if p.is_dir()]


def test_a_text_file_with_the_wrong_checksum_is_named(celeba):
    (celeba / "celeba" / "list_eval_partition.txt").write_text("000001.jpg 0\n")
    with pytest.raises(UserError, match=r"list_eval_partition\.txt is not the published file"):
        CelebA().load(Data(), celeba)


def test_absent_files_are_named(celeba):
    (celeba / "celeba" / "identity_CelebA.txt").unlink()
    line = CelebA().missing(Data(), celeba)
    assert line is not None
    assert line.startswith(f"CelebA: no identity_CelebA.txt in {celeba / 'celeba'}; ")


def test_the_paper_evaluated_on_val():
    assert CelebA.paper_split == "val"
