"""folder: your own images, any format that Pillow reads.

``data.path`` holds ``train/`` and ``test/`` (and ``val/`` if you have one), or images without such
folders; class sub-folders are searched. Without ``test/`` a tenth of the images, at most 2 000, is
the test split; without ``val/`` a tenth of what is left, at most 2 000, is the val split: fixed
random choices over the sorted names (`datasets.cut`). Preprocessing: RGB, the shorter side resized
to ``data.image_size`` (0 = 32) with Pillow's bilinear filter, then a centre crop to a square.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from collapsebench.datasets import Dataset, Source, cut, mixed, tenth
from collapsebench.datasets._cache import SPLITS, place
from collapsebench.settings import Data, UserError, digest

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
DEFAULT_SIDE = 32
FEWEST = 10  # images that can be split


class Folder(Dataset):
    """Images of a folder, cut into splits by sub-folders or at random."""

    label = "folder"

    def side(self, settings: Data) -> int:
        """``data.image_size``, or 32."""
        return settings.image_size or DEFAULT_SIDE

    def content_hash(self, settings: Data, root: Path) -> str:
        """SHA-256 over names and bytes, remembered while names, sizes and times stay.

        Raises:
            UserError: no such folder, too few images in it, or one that cannot be read.
        """
        folder = Path(settings.path)
        listing = _listing(folder) if settings.path else []
        if len(listing) < FEWEST:
            raise UserError(_too_few(settings, len(listing)))
        state = digest(listing)
        remembered = place(root, f"folder-{digest(str(folder.resolve()))}.json")
        if remembered.is_file():
            known = json.loads(remembered.read_text())
            if known["state"] == state:
                return known["content_hash"]
        content = _hash(folder, [name for name, *_ in listing])
        _remember(remembered, {"state": state, "content_hash": content})
        return content

    def missing(self, settings: Data, root: Path) -> str | None:
        """None, or the line that says which folder holds too few images."""
        found = len(_listing(Path(settings.path))) if settings.path else 0
        return _too_few(settings, found) if found < FEWEST else None

    def read(self, settings: Data, root: Path) -> Source:
        """Every image of the folder, split by sub-folder or at random."""
        folder = Path(settings.path)
        names = [name for name, *_ in _listing(folder)]
        images = _Files([folder / name for name in names], _preprocessing(self.side(settings)))
        return Source(images, _splits(names, folder), lambda i: str(folder / names[i]))


class _Files:
    """Image files that are opened and preprocessed when asked for."""

    def __init__(self, paths: list[Path], transform: Callable):
        self.paths = paths
        self.transform = transform

    def __getitem__(self, index: int) -> np.ndarray:
        from PIL import Image

        with Image.open(self.paths[index]) as image:
            return np.asarray(self.transform(image.convert("RGB")))


def _preprocessing(side: int) -> Callable:
    from torchvision import transforms

    return transforms.Compose([transforms.Resize(side), transforms.CenterCrop(side)])


def _too_few(settings: Data, found: int) -> str:
    if not settings.path:
        return "no folder given: say where your images are with --set data.path=FOLDER"
    return (
        f"{found} images in {Path(settings.path).absolute()}: at least {FEWEST} should lie there, "
        f"in train/ and test/ or without splits ({' '.join(sorted(SUFFIXES))})"
    )


def _listing(folder: Path) -> list[tuple[str, int, int]]:
    """Relative name, bytes and modification time (ns) of every image below ``folder``, by name."""
    try:
        return sorted(_scan(str(folder), "")) if folder.is_dir() else []
    except OSError as error:
        raise UserError(f"cannot read {error.filename}: {error.strerror}") from None


def _scan(folder: str, prefix: str) -> Iterator[tuple[str, int, int]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _scan(entry.path, f"{prefix}{entry.name}/")
            elif os.path.splitext(entry.name)[1].lower() in SUFFIXES:
                found = entry.stat()
                yield f"{prefix}{entry.name}", found.st_size, found.st_mtime_ns


def _splits(names: list[str], folder: Path) -> dict[str, np.ndarray]:
    """Indices by first folder; what no folder gives is cut from the rest."""
    first = np.array([name.partition("/")[0] for name in names])
    indices = np.arange(len(names))
    if not np.isin(first, ("train", "test")).any():
        splits = {"train": indices}
    else:
        splits = {split: indices[first == split] for split in SPLITS if (first == split).any()}
    if "train" not in splits:
        raise UserError(f"no images in {folder / 'train'}, but some in {folder / 'test'}")
    for split in ("test", "val"):
        if split not in splits:
            rest = splits["train"]
            kept, held_out = cut(len(rest), max(1, tenth(len(rest))))
            splits["train"], splits[split] = rest[kept], rest[held_out]
    # Sorted names come class by class: mixed, so that any few images show all classes.
    return {split: part[mixed(len(part))] for split, part in splits.items()}


def _hash(folder: Path, names: list[str]) -> str:
    whole = hashlib.sha256()
    for name in names:
        whole.update(
            f"{name}\0{hashlib.sha256((folder / name).read_bytes()).hexdigest()}\n".encode()
        )
    return whole.hexdigest()[:16]


def _remember(path: Path, value: dict[str, str]) -> None:
    from collapsebench.results.tables import write_json

    write_json(path, value)
