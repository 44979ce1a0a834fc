"""Which files below a folder are images, and which split each is in; what is unclear is refused.

Names are read in capitals or not: ``train``, ``training``; ``val``, ``valid``, ``validation``,
``dev``; ``test``, ``testing``. The split folders may lie in a folder of their own (``data/train``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from collapsebench.datasets._pixels import SUFFIXES
from collapsebench.settings import UserError, few

SPLIT_OF = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
LIKE_SPLITS = SPLIT_OF | {"eval": "test", "evaluation": "test", "holdout": "test"}
SYSTEM = {  # what systems put beside images, thumbnails among it
    "__macosx", "@eadir", "thumbs.db", "desktop.ini", "$recycle.bin", "lost+found",
    "system volume information",
}  # fmt: skip
HIDDEN = "hidden, or put there by the system"
NO_IMAGE = f"no image by its name ({' '.join(sorted(SUFFIXES))})"
WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")  # of trainA, test_images, COCO's val2017


@dataclass(frozen=True)
class Layout:
    """What lies below a folder.

    Attributes:
        files: name relative to the folder, bytes, and modification time in ns of each image, by
            name.
        left_out: why -> the names of what is not read, folders with a slash at the end.
    """

    files: list[tuple[str, int, int]] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Those of the images, ascending."""
        return [name for name, *_ in self.files]


def listing(folder: Path) -> Layout:
    """The images below a folder, sub-folders and links followed.

    Raises:
        UserError: a folder that cannot be read or is met twice (a link back), or an image's name on
            what is no regular file.
    """
    found = Layout()
    try:
        _scan(str(folder), "", {}, found)
    except OSError as error:
        raise UserError(f"cannot read {error.filename}: {error.strerror}") from None
    found.files.sort()
    return found


def _scan(folder: str, prefix: str, met: dict[tuple[int, int], str], found: Layout) -> None:
    """Adds what lies in a folder; ``met`` are the folders so far, by device and inode."""
    status = os.stat(folder)
    if (twin := met.setdefault((status.st_dev, status.st_ino), folder)) != folder:
        raise UserError(f"{folder} and {twin} are one folder: its images would be read twice")
    with os.scandir(folder) as entries:
        for entry in entries:
            name, is_folder = f"{prefix}{entry.name}", entry.is_dir()
            if entry.name.startswith(".") or entry.name.lower() in SYSTEM:
                found.left_out.setdefault(HIDDEN, []).append(f"{name}/" if is_folder else name)
            elif is_folder:
                _scan(entry.path, f"{name}/", met, found)
            elif os.path.splitext(entry.name)[1].lower() not in SUFFIXES:
                found.left_out.setdefault(NO_IMAGE, []).append(name)
            else:
                status = entry.stat()
                if not entry.is_file():
                    raise UserError(f"{entry.path} is no regular file, but named like an image")
                found.files.append((name, status.st_size, status.st_mtime_ns))


def splits(names: Sequence[str], folder: Path) -> dict[str, list[int]]:
    """Indices of images by the split that their folder names; all in train if no folder does.

    Args:
        names: of the images, relative to ``folder``.
        folder: for messages.

    Raises:
        UserError: names that could be divided in more than one way.
    """
    paths = _unwrapped([name.split("/") for name in names])
    tops = {path[0] for path in paths if len(path) > 1}
    split_of = {top: SPLIT_OF[top.lower()] for top in sorted(tops) if top.lower() in SPLIT_OF}
    if what := _unclear_below(paths, split_of) if split_of else _unclear_pool(paths):
        raise UserError(
            f"{folder}: unclear which images are train, val and test: {what}; put them below "
            "train/, val/ and test/, or all below train/, from which the others are cut then"
        )
    found: dict[str, list[int]] = {}
    for index, path in enumerate(paths):
        found.setdefault(split_of.get(path[0], "train"), []).append(index)
    return found


def _unwrapped(paths: list[list[str]]) -> list[list[str]]:
    """Paths without the folders that hold all images, up to one that names a split."""
    while len({path[0] for path in paths}) == 1 and len(paths[0]) > 1:
        if paths[0][0].lower() in SPLIT_OF:
            break
        paths = [path[1:] for path in paths]
    return paths


def _unclear_below(paths: list[list[str]], split_of: dict[str, str]) -> str:
    """What is unclear where folders name splits, or ""."""
    beside = {path[0] + "/" * (len(path) > 1) for path in paths if path[0] not in split_of}
    if beside:
        return f"beside {few(f'{top}/' for top in split_of)} lie {few(beside)}"
    if len(split_of) > len(set(split_of.values())):
        return f"{few(f'{top}/' for top in split_of)} name one split twice"
    below: dict[str, set[str]] = {top: set() for top in split_of}
    for top, *inner in paths:
        below[top].update("/".join(inner[:depth]) for depth in range(1, len(inner)))
    classes = set.intersection(*below.values()) if len(below) > 1 else set()
    others = [
        f"{top}/{sub}/"
        for top, subs in below.items()
        for sub in subs - classes  # a class may be called "train", if every split has it
        if SPLIT_OF.get(sub.rpartition("/")[2].lower(), split_of[top]) != split_of[top]
    ]
    return f"{few(others)} lie in another split" if others else ""


def _unclear_pool(paths: list[list[str]]) -> str:
    """What is unclear where no folder names a split outright, or ""."""
    holders = {part: path for path in reversed(paths) for part in (path[0], *path[:-1])}
    named: dict[str, str] = {}
    for part, path in sorted(holders.items()):
        for word in WORDS.findall(part):
            if split := LIKE_SPLITS.get(word.lower().removesuffix("set")):
                named.setdefault(split, "/".join(path))
    return f"{few(named.values())} seem to name splits" if len(named) > 1 else ""
