"""cifar10_5k: the first 1 000 images of each official CIFAR10 batch file, exact and small.

Source: as `cifar10`; from the official batch files, or from `cifar10-5k.npz` in the data root with
the arrays `x_train` (5 000, 32, 32, 3) and `x_test` (1 000, 32, 32, 3), uint8. Both are compared
with one hash, so that they give the same pixels. Preprocessing: none. Splits: test 1 000; of the
5 000 training images, 500 are val, a fixed random choice (`datasets.cut`), and 4 500 train.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from pathlib import Path

import numpy as np

from collapsebench.datasets import Dataset, Source, absent, cut, tenth
from collapsebench.datasets._torchvision import fetch
from collapsebench.datasets.cifar10 import ADVICE, FILES, FOLDER, REMEDY, official
from collapsebench.settings import Data, UserError

ARCHIVE = "cifar10-5k.npz"
BATCHES = 5  # official training batch files
PER_BATCH = 1_000


class CIFAR10Small(Dataset):
    """The head of each official CIFAR10 batch, or an archive of just these."""

    label = "CIFAR10-5k"
    remedy = REMEDY
    image_size = 32
    train_images = 4_500
    content = "4f56834a25ced655"  # SHA-256 of x_train, x_test, 16 digits

    def lacking(self, settings: Data, root: Path) -> str | None:
        """Names the absent files, unless one of the two sources is there."""
        if (root / ARCHIVE).exists():
            return None
        advice = f"{ADVICE}; or put {ARCHIVE} (arrays x_train, x_test) into {root.absolute()}"
        return absent(self.label, root / FOLDER, FILES, advice)

    def download(self, root: Path) -> None:
        """Fetches the official CIFAR10 archive."""
        from torchvision.datasets import CIFAR10

        fetch(CIFAR10, root)

    def read(self, settings: Data, root: Path) -> Source:
        """All 6 000 images, training images first.

        Raises:
            UserError: a damaged file, or pixels other than CIFAR10's, with the file's name.
        """
        path = root / ARCHIVE
        if path.exists():
            train, test = _archive(path)
        else:
            path = root / FOLDER
            train, test = _heads(path.parent)
        if hashlib.sha256(train.tobytes() + test.tobytes()).hexdigest()[:16] != self.content:
            raise UserError(
                f"{path} does not hold the first images of CIFAR10's batches; replace it"
            )
        kept, val = cut(len(train), tenth(len(train)))
        splits = {"train": kept, "val": val, "test": len(train) + np.arange(len(test))}
        return Source(np.concatenate([train, test]), splits, lambda i: str(path))


def _archive(path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return arrays["x_train"], arrays["x_test"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(
            f"{path} cannot be read: {error}; x_train and x_test belong in it"
        ) from None


def _heads(root: Path) -> tuple[np.ndarray, np.ndarray]:
    train, test = official(root)
    batches = train.reshape(BATCHES, -1, *train.shape[1:])
    return np.concatenate(list(batches[:, :PER_BATCH])), test[:PER_BATCH]
