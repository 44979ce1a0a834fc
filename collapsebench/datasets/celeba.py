"""celeba: 202 599 aligned photographs of faces, 64 x 64.

Source: Z. Liu et al., Deep Learning Face Attributes in the Wild, ICCV 2015;
http://mmlab.ie.cuhk.edu.hk/projects/CelebA.html, read by `torchvision.datasets.CelebA`.
Preprocessing, that of the paper's official code: centre crop 140 x 140, resized to 64 x 64 with
Pillow's antialiased bilinear filter. Splits as published: 162 770 train, 19 867 val, 19 962 test;
the paper's numbers come from val (ituvisionlab/EdVAE dfcb50e validates on "valid", tests never).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from collapsebench.datasets import Dataset, Source, absent
from collapsebench.datasets._torchvision import Pictures, check_files, fetch
from collapsebench.settings import Data

FOLDER = "celeba"
IMAGES = "img_align_celeba"
PARTITION = "list_eval_partition.txt"
FILES = (
    IMAGES,
    PARTITION,
    "identity_CelebA.txt",
    "list_attr_celeba.txt",
    "list_bbox_celeba.txt",
    "list_landmarks_align_celeba.txt",
)
CODES = {"train": 0, "val": 1, "test": 2}  # in the partition file
CROP = 140
REMEDY = "collapsebench data prepare -d celeba --download"
ADVICE = (
    "put the unpacked img_align_celeba.zip and the text files of "
    "http://mmlab.ie.cuhk.edu.hk/projects/CelebA.html there (data root: --data-root), "
    f"or run `{REMEDY}`"
)


class CelebA(Dataset):
    """CelebA, aligned and cropped."""

    label = "CelebA"
    image_size = 64
    train_images = 162_770
    paper_split = "val"
    remedy = REMEDY
    content = "00d2c5bc6d35e252742224ab0c1e8fcb"  # published MD5 of img_align_celeba.zip

    def lacking(self, settings: Data, root: Path) -> str | None:
        """Names the absent folder and text files."""
        return absent(self.label, root / FOLDER, FILES, ADVICE)

    def download(self, root: Path) -> None:
        """Fetches the official files; torchvision needs the package gdown for it."""
        from torchvision.datasets import CelebA

        fetch(CelebA, root)

    def read(self, settings: Data, root: Path) -> Source:
        """All images in the order of the partition file.

        Raises:
            UserError: a text file that is not the published one.
        """
        from torchvision.datasets import CelebA

        folder = root / FOLDER
        checksums = [(file, md5) for _, md5, file in CelebA.file_list if file.endswith(".txt")]
        check_files(folder, checksums)
        faces = CelebA(root, "all", target_type=[], transform=preprocessing(self.image_size))
        codes = np.loadtxt(folder / PARTITION, usecols=1, dtype=np.int64)
        splits = {split: np.flatnonzero(codes == code) for split, code in CODES.items()}
        return Source(Pictures(faces), splits, lambda i: str(folder / IMAGES / faces.filename[i]))


def preprocessing(side: int) -> Any:
    """Pillow image -> Pillow image of ``side`` x ``side`` pixels."""
    from torchvision import transforms

    return transforms.Compose([transforms.CenterCrop(CROP), transforms.Resize((side, side))])
