"""A dataset in a file of its own: 370 of the digits, 16 x 16, so that a job takes a second."""

from pathlib import Path

from collapsebench.datasets import Source
from collapsebench.datasets.digits import Digits
from collapsebench.settings import Data


class FewDigits(Digits):
    """The first digits of each split."""

    label = "few digits"
    image_size = 16
    train_images = 200

    def read(self, settings: Data, root: Path) -> Source:
        whole = super().read(settings, root)
        counts = {"train": self.train_images, "val": 40, "test": 130}
        splits = {name: whole.splits[name][:count] for name, count in counts.items()}
        return Source(whole.images, splits, whole.where)
