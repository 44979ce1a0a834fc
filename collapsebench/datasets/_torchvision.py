"""What the datasets read by torchvision's own classes share; torchvision is loaded when used."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from collapsebench.settings import UserError


class Pictures:
    """The images of a torchvision dataset, whose items are pairs of image and target."""

    def __init__(self, dataset: Any):
        self.dataset = dataset

    def __getitem__(self, index: int) -> Any:
        return self.dataset[index][0]


def check_files(folder: Path, checksums: Iterable[tuple[str, str]]) -> None:
    """Compares files with their published MD5, before anything in them is opened.

    Raises:
        UserError: the first file that differs, named.
    """
    from torchvision.datasets.utils import check_integrity

    for file, md5 in checksums:
        if not check_integrity(folder / file, md5):
            raise UserError(
                f"{folder / file} is not the published file (MD5 {md5}); fetch it again"
            )


def fetch(kind: type, root: Path) -> None:
    """Downloads by a torchvision class that can.

    Raises:
        UserError: the download failed.
    """
    try:
        kind(root, download=True)
    except (OSError, RuntimeError, ImportError) as error:
        raise UserError(f"the download of {kind.__name__} failed: {error}") from None
