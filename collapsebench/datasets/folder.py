"""folder: your own images, one picture a file.

``data.path`` holds ``train/`` and ``test/`` (and ``val/`` if you have one), or images without such
folders; class sub-folders are searched. Without ``test/`` a tenth of the images, at most 2 000, is
the test split; without ``val/`` a tenth of what is left, at most 2 000, is the val split: fixed
random choices over the sorted names (`datasets.cut`). Which files count as images and which names
as splits: `_layout`. Preprocessing: RGB of 8 bits (`_pixels`), the shorter side resized to
``data.image_size`` (0 = 32) with Pillow's bilinear filter, then a centre crop to a square.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from collapsebench.datasets import Dataset, Source, cut, expanded, mixed, tenth
from collapsebench.datasets._cache import hashed, place
from collapsebench.datasets._layout import Layout, listing, splits
from collapsebench.datasets._pixels import SUFFIXES, read_rgb
from collapsebench.settings import Data, UserError, digest, few

DEFAULT_SIDE = 32
FEWEST = 10  # images that can be split
FEWEST_TRAIN = 7  # what precision and recall take at k = 5


class Folder(Dataset):
    """Images of a folder, cut into splits by sub-folders or at random."""

    label = "folder"
    remedy = "collapsebench data prepare -d folder --path FOLDER"
    version = 2

    def side(self, settings: Data) -> int:
        """``data.image_size``, or 32."""
        return settings.image_size or DEFAULT_SIDE

    def content_hash(self, settings: Data, root: Path) -> str:
        """SHA-256 over names and bytes, remembered while names, sizes and times stay.

        Raises:
            UserError: no such folder, one that cannot be read or divided, or too few images in it.
        """
        found, _ = _divided(settings)
        folder = expanded(settings.path)
        state = digest(found.files)
        noted = place(root, f"folder-{digest(str(folder.resolve()))}.json")
        return hashed(noted, state, lambda: _hash(folder, found.names))

    def missing(self, settings: Data, root: Path) -> str | None:
        """None, or the line that says what is wrong with the folder."""
        try:
            _divided(settings)
        except UserError as error:
            return str(error)
        return None

    def notes(self, settings: Data, root: Path) -> list[str]:
        """Which splits were cut from train, and what was left out and why."""
        found, _ = _divided(settings)
        named = splits(found.names, expanded(settings.path))
        made = [f"{split} was cut from train" for split in ("val", "test") if split not in named]
        left = found.left_out.items()
        return made + [f"left out, {why}: {len(names):,} ({few(names)})" for why, names in left]

    def read(self, settings: Data, root: Path) -> Source:
        """Every image of the folder, split by sub-folder or at random."""
        found, indices = _divided(settings)
        paths = [expanded(settings.path) / name for name in found.names]
        images = _Files(paths, _preprocessing(self.side(settings)))
        return Source(images, indices, lambda i: str(paths[i]))


class _Files:
    """Image files that are opened and preprocessed when asked for."""

    def __init__(self, paths: list[Path], transform: Callable):
        self.paths = paths
        self.transform = transform

    def __getitem__(self, index: int) -> np.ndarray:
        return np.asarray(self.transform(read_rgb(self.paths[index])))


def _preprocessing(side: int) -> Callable:
    from torchvision import transforms

    return transforms.Compose([transforms.Resize(side), transforms.CenterCrop(side)])


def _divided(settings: Data) -> tuple[Layout, dict[str, np.ndarray]]:
    """The images of the folder and the indices of each split; what no folder gives is cut."""
    if not settings.path:
        raise UserError("no folder given: say where your images are with --set data.path=FOLDER")
    folder = expanded(settings.path)
    found = listing(folder) if folder.is_dir() else Layout()
    if len(found.files) < FEWEST:
        raise UserError(
            f"{len(found.files)} images in {folder.absolute()}: at least {FEWEST} should lie "
            f"there, in train/ and test/ or without splits ({' '.join(sorted(SUFFIXES))})"
        )
    indices = {split: np.array(part) for split, part in splits(found.names, folder).items()}
    if "train" not in indices:
        raise UserError(f"no images in {folder / 'train'}, but some for {few(indices)}")
    for split in ("test", "val"):
        if split not in indices:
            rest = indices["train"]
            kept, held_out = cut(len(rest), max(1, tenth(len(rest))))
            indices["train"], indices[split] = rest[kept], rest[held_out]
    if (count := len(indices["train"])) < FEWEST_TRAIN:
        raise UserError(
            f"{count} images to train on in {folder.absolute()}, beside {len(indices['val'])} val "
            f"and {len(indices['test'])} test images: at least {FEWEST_TRAIN} are needed"
        )
    # Sorted names come class by class: mixed, so that any few images show all classes.
    return found, {split: part[mixed(len(part))] for split, part in indices.items()}


def _hash(folder: Path, names: list[str]) -> str:
    whole = hashlib.sha256()
    for name in names:
        try:
            content = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        except OSError as error:
            raise UserError(f"cannot read {folder / name}: {error.strerror}") from None
        whole.update(os.fsencode(f"{name}\0{content}\n"))
    return whole.hexdigest()[:16]
