"""Level 1, images: the datasets that need no file, decoded anew, whatever a cache holds of them."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from collapsebench.check.records import Record
from collapsebench.datasets import IMAGES, Items
from collapsebench.job.stages import SPLITS
from collapsebench.plan import registry
from collapsebench.settings import Data

RTOL = 1e-3  # of a mean colour; another version of a JPEG decoder may move single pixels by one


def computed() -> dict[str, Record]:
    """Hashes, sizes and colours of each."""
    with tempfile.TemporaryDirectory() as folder:
        return {f"dataset {name}": record(name, Path(folder)) for name in built_in(Path(folder))}


def built_in(empty: Path) -> list[str]:
    """Names of the shipped datasets of images that lack nothing in an empty folder."""
    return [
        name
        for name in registry.names("datasets")
        if registry.find("datasets", name).shipped
        and registry.dataset(name).missing(Data(), empty) is None
        and registry.dataset(name).form(Data()).noun == IMAGES.noun
    ]


def record(name: str, root: Path) -> Record:
    """Which images are in which split, and how their quadrants look."""
    dataset = registry.dataset(name)
    images = dataset.load(Data(), root)
    values = {
        "data_hash": np.array([images.content_hash]),
        "split_hash": np.array([images.split_hash]),
        **{f"{split} {key}": value for split in SPLITS for key, value in facts(images, split)},
    }
    bump = f"the version of {name} in datasets/{name}.py"
    return Record(f"dataset {dataset.version}", values, bump, RTOL)


def facts(images: Items, split: str) -> list[tuple[str, np.ndarray]]:
    """Number of images of a split; mean colour of each quadrant, (2, 2, 3)."""
    pixels: np.ndarray = getattr(images, split)
    half = pixels.shape[1] // 2
    quadrants = pixels.reshape(len(pixels), 2, half, 2, half, 3)
    return [
        ("images", np.array([float(len(pixels))])),
        ("quadrants", quadrants.mean(axis=(0, 2, 4), dtype=np.float64)),
    ]
