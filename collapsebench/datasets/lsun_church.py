"""lsun_church: 126 527 photographs of churches from outside, 128 x 128.

Source: F. Yu et al., LSUN: Construction of a Large-scale Image Dataset using Deep Learning with
Humans in the Loop, 2015; https://github.com/fyu/lsun, read by `torchvision.datasets.LSUN`.
Preprocessing, ``data.resize``: `squash` resizes to 128 x 128 whatever the aspect ratio, as the
paper's official code does; `center_crop` resizes the shorter side to 128, then crops. Both use
Pillow's antialiased bilinear filter. Splits: test is the published church_outdoor_val (300); of
church_outdoor_train (126 227), 2 000 are val, a fixed random choice (`datasets.cut`).
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from collapsebench.datasets import Dataset, Source, absent, cut, tenth
from collapsebench.datasets._torchvision import Pictures
from collapsebench.settings import Data, UserError

FOLDER = "lsun"
TRAIN, VAL = "church_outdoor_train", "church_outdoor_val"
FILES = (f"{TRAIN}_lmdb/data.mdb", f"{VAL}_lmdb/data.mdb")
ADVICE = (
    f"unpack {TRAIN}_lmdb.zip and {VAL}_lmdb.zip there, fetched with download.py -c church_outdoor "
    "of https://github.com/fyu/lsun (data root: --data-root)"
)


class LSUNChurch(Dataset):
    """LSUN churches from the official LMDB files."""

    label = "LSUN Church"
    remedy = "download.py -c church_outdoor of https://github.com/fyu/lsun; unpack it there"
    image_size = 128
    train_images = 124_227
    content = "lsun-church-outdoor-126227-300"  # no checksum is published: the numbers of entries
    entries: ClassVar[dict[str, int]] = {TRAIN: 126_227, VAL: 300}

    def lacking(self, settings: Data, root: Path) -> str | None:
        """Names the absent LMDB files."""
        return absent(self.label, root / FOLDER, FILES, ADVICE)

    def read(self, settings: Data, root: Path) -> Source:
        """All images by key, those of church_outdoor_train first.

        Raises:
            UserError: an LMDB that is damaged, truncated or of the wrong length.
        """
        folder = (root / FOLDER).resolve()
        for name, count in self.entries.items():
            _check(folder / f"{name}_lmdb", count)
        own = self.entry(settings, root.resolve()).parent
        churches = _open(folder, preprocessing(self.image_size, settings.resize), own)
        train, total = churches.indices
        kept, val = cut(train, tenth(train))
        splits = {"train": kept, "val": val, "test": np.arange(train, total)}

        def close() -> None:
            for database in churches.dbs:
                database.env.close()  # an environment opens once per process

        return Source(Pictures(churches), splits, lambda i: _where(folder, churches, i), close)


def preprocessing(side: int, resize: str) -> Any:
    """Pillow image -> Pillow image of ``side`` x ``side`` pixels."""
    from torchvision import transforms

    if resize == "squash":
        return transforms.Resize((side, side))
    return transforms.Compose([transforms.Resize(side), transforms.CenterCrop(side)])


def _check(folder: Path, count: int) -> None:
    """Sizes first: reading past the end of a truncated memory map would kill the process."""
    import lmdb

    path = folder / "data.mdb"
    try:
        with lmdb.open(str(folder), readonly=True, lock=False) as environment:
            needed = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
            entries = environment.stat()["entries"]
    except lmdb.Error as error:
        raise UserError(f"{path} is not a readable LMDB: {error}; unpack it again") from None
    size = path.stat().st_size
    if size < needed:
        raise UserError(f"{path} is truncated: {size} bytes of {needed}; unpack it again")
    if entries != count:
        raise UserError(f"{path} holds {entries} images, not {count}; unpack the published one")


def _open(folder: Path, transform: Any, own: Path) -> Any:
    """The torchvision dataset; its list of keys goes into a folder of ours that then vanishes.

    torchvision writes that list into the working folder under a name that two databases can share,
    and unpickles what it finds there: an empty folder rules both out.
    """
    from torchvision.datasets import LSUN

    with tempfile.TemporaryDirectory(dir=own, prefix=".keys-") as keys, contextlib.chdir(keys):
        return LSUN(str(folder), [TRAIN, VAL], transform)


def _where(folder: Path, churches: Any, index: int) -> str:
    train = churches.indices[0]
    name, database, row = (TRAIN, 0, index) if index < train else (VAL, 1, index - train)
    return f"{folder / name}_lmdb, key {churches.dbs[database].keys[row].decode()}"
