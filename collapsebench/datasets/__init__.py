"""Datasets: one file each, found by its name. This page is the contract of such a file.

A dataset file holds exactly one subclass of ``Dataset`` that says how its items are recognised
(``content_hash``), opened and split (``read``), and what is wrong where they are absent
(``lacking``). Decoding, caching and mapping are shared. Items are images unless ``size`` says
otherwise; what follows from that is their ``form``. Nothing here imports torch or scikit-learn, so
that jobs can be planned in no time and without data.
"""

from __future__ import annotations

import hashlib
import importlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from collapsebench import settings as settings_
from collapsebench.datasets import _cache
from collapsebench.datasets._cache import Size, Source
from collapsebench.datasets._forms import IMAGES, Form, form_of
from collapsebench.settings import SPLITS, Data, UserError

__all__ = [
    "IMAGES", "Dataset", "Form", "Items", "Size", "Source", "absent", "cut", "data_root",
    "expanded", "form_of", "label", "mixed", "tenth",
]  # fmt: skip


@dataclass(frozen=True)
class Items:
    """A dataset in memory-mapped arrays; of images uint8 (N, H, W, 3) each, else float32 (N, ...).

    Attributes:
        train: what models are trained on.
        val: held out from training; choices are made on it.
        test: what tables report.
        content_hash: names the content of all items.
        split_hash: names which item is in which split.
        form: what an item is.
    """

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    content_hash: str
    split_hash: str
    form: Form

    @property
    def held(self) -> str:
        """Like "1,297 train, 250 val, 250 test images of 32 x 32 pixels"."""
        counts = (f"{len(getattr(self, split)):,} {split}" for split in SPLITS)
        return f"{', '.join(counts)} {self.form.noun} of {self.form.extent}"


NAMED = 2  # of the files that a line names; the others are counted


class Dataset:
    """Base of every dataset: a subclass writes ``read`` and ``lacking``, and names its content.

    Class attributes:
        label: the printed name, "LSUN church".
        content: names the content of a published set; "" where ``content_hash`` looks at the files.
        version: of the preprocessing and the splits, bumped by hand; part of every id.
        image_size: height and width in pixels; 0 where the settings decide.
        train_images: size of the train split; 0 where it is not known beforehand.
        paper_split: the split that the authors' code evaluated on, "test" or "val".
        remedy: the command that provides what is missing, "" where there is none.
    """

    label: ClassVar[str] = ""
    content: ClassVar[str] = ""
    version: ClassVar[int] = 1
    image_size: ClassVar[int] = 0
    train_images: ClassVar[int] = 0
    paper_split: ClassVar[str] = "test"
    remedy: ClassVar[str] = ""

    @property
    def name(self) -> str:
        """The dataset's id: its file's name."""
        return type(self).__module__.rpartition(".")[2]

    def side(self, settings: Data) -> int:
        """Height and width of every image, in pixels."""
        return self.image_size

    def size(self, settings: Data) -> Size:
        """Of every item: the side of images, the shape of anything else."""
        return self.side(settings)

    def form(self, settings: Data) -> Form:
        """What an item is, as far as is known before anything is decoded."""
        return form_of(self.size(settings))

    def train_count(self, settings: Data) -> int:
        """Items of the train split; 0 where that is not known beforehand."""
        return self.train_images

    def content_hash(self, settings: Data, root: Path) -> str:
        """Names the content without decoding an item."""
        if not self.content:
            name = type(self).__name__
            raise NotImplementedError(f"{name} must define content or content_hash(settings, root)")
        return self.content

    def read(self, settings: Data, root: Path) -> Source:
        """Opens the items, each still encoded, with their splits.

        Raises:
            UserError: a file that is corrupt or truncated, named.
        """
        raise NotImplementedError(f"{type(self).__name__} must define read(settings, root)")

    def lacking(self, settings: Data, root: Path) -> str | None:
        """None if the files are there, else one line: folder, what should lie there, source."""
        return None

    def notes(self, settings: Data, root: Path) -> list[str]:
        """Lines for a person who prepares the data: what was left out, say, and why."""
        return []

    def download(self, root: Path) -> None:
        """Fetches the files into ``root``.

        Raises:
            UserError: no automatic download exists, or it failed.
        """
        raise UserError(f"{self.label} cannot be downloaded for you: {self.lacking(Data(), root)}")

    def entry(self, settings: Data, root: Path) -> Path:
        """The folder of the decoded arrays, there or not."""
        return self._entry(settings, root, self.content_hash(settings, root))

    def missing(self, settings: Data, root: Path) -> str | None:
        """None if ``load`` will find what it needs, else the line of ``lacking``."""
        line = self.lacking(settings, root)
        return line if line and not self.entry(settings, root).is_dir() else None

    def load(self, settings: Data, root: Path) -> Items:
        """The items, decoded on the first call and only mapped on every later one.

        Raises:
            UserError: files that are missing, corrupt or truncated, named.
        """
        content = self.content_hash(settings, root)
        folder = self._entry(settings, root, content)
        if not folder.is_dir():
            if line := self.missing(settings, root):
                raise UserError(line)
            facts = {"dataset": self.name, "version": self.version, "content_hash": content}
            _cache.build(folder, self.size(settings), lambda: self.read(settings, root), facts)
        arrays, entry = _cache.load(folder)
        form = self.form(settings).known(entry)
        return Items(**arrays, content_hash=content, split_hash=entry["split_hash"], form=form)

    def _entry(self, settings: Data, root: Path, content: str) -> Path:
        identity = settings_.identity(settings)
        what = {"version": self.version, "content": content, "settings": identity}
        return _cache.place(root, f"{self.name}-{settings_.digest(what)}")


def label(name: str) -> str:
    """The printed name of a shipped dataset; of any other, its name."""
    if not (Path(__file__).parent / f"{name}.py").is_file():
        return name
    module = importlib.import_module(f"{__name__}.{name}")
    own = [value for value in vars(module).values() if isinstance(value, type)]
    return next(c.label for c in own if issubclass(c, Dataset) and c.__module__ == module.__name__)


def data_root(explicit: Path | None) -> Path:
    """Where datasets lie: the argument, ``COLLAPSEBENCH_DATA``, or the platform's cache folder."""
    named = explicit or os.environ.get("COLLAPSEBENCH_DATA")
    return expanded(named) if named else _cache.platform_cache() / "data"


def expanded(path: str | Path) -> Path:
    """A path as the user meant it: a leading ``~`` is a home folder."""
    return Path(os.path.expanduser(path))


def absent(label: str, folder: Path, files: Iterable[str], advice: str) -> str | None:
    """None if all files lie in the folder, else one line: what is absent, where, what to do."""
    lacking = [file for file in files if not (folder / file).exists()]
    more = f" and {len(lacking) - NAMED} more" if len(lacking) > NAMED else ""
    names = ", ".join(lacking[:NAMED]) + more
    return f"{label}: no {names} in {folder.absolute()}; {advice}" if lacking else None


def mixed(count: int) -> np.ndarray:
    """``range(count)`` in a random order that is the same on every machine and in every version.

    The order is that of the SHA-256 of the decimal numbers, so that no random generator is trusted.
    """
    order = sorted(range(count), key=lambda index: hashlib.sha256(b"%d" % index).digest())
    return np.array(order, dtype=np.int64)


def cut(count: int, held_out: int) -> tuple[np.ndarray, np.ndarray]:
    """``range(count)`` as (kept, held out), both ascending: the first of ``mixed`` are held out."""
    order = mixed(count)
    return np.sort(order[held_out:]), np.sort(order[:held_out])


def tenth(count: int) -> int:
    """How many of ``count`` training items are held out where no split is published."""
    return min(2_000, count // 10)
