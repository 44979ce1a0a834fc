"""How good reconstructions are, from two folders of images."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from collapsebench import metrics
from collapsebench.datasets import expanded
from collapsebench.datasets._layout import listing
from collapsebench.datasets._pixels import SUFFIXES, read_rgb
from collapsebench.settings import UserError


@dataclass(frozen=True)
class ImageScores:
    """Reconstructions against originals.

    Attributes:
        count: number of pairs.
        mse: per channel value in [0, 1].
        psnr: dB, of that mean; inf if every pair is equal.
        rfd: Fréchet distance of features.
        rfd_label: its printed name, which names the extractor.
    """

    count: int
    mse: float
    psnr: float
    rfd: float
    rfd_label: str


def score_images(originals: Path, reconstructions: Path) -> ImageScores:
    """Compares two folders of images, paired by name, sub-folders included, without its ending.

    Features are Inception's where a weights file is named or installed, else ``cb-randconv-v1``'s.

    Raises:
        UserError: no images, a name that two have, names without a partner, images that cannot
            be read as 8-bit RGB, are of different sizes or fewer than 2, or Inception weights that
            are missing where they are named, or not the published ones.
    """
    import torch

    from collapsebench import fidelity, quantities

    names = [_images(folder) for folder in (originals, reconstructions)]
    if alone := sorted(set(names[0]) ^ set(names[1])):
        raise UserError(
            f"{len(alone)} images of {originals} and {reconstructions} have no partner of the "
            f"same name, {alone[0]!r} first"
        )
    real, fake = (_load(folder) for folder in names)
    if real.shape != fake.shape:
        raise UserError(
            f"{originals} has images of {real.shape[1:3]}, {reconstructions} {fake.shape[1:3]}"
        )
    mse = float(
        np.mean(
            [np.square((a / 255.0) - (b / 255.0)).mean() for a, b in zip(real, fake, strict=True)]
        )
    )
    code_only = fidelity.EXTRACTORS[-1]
    name = quantities.INCEPTION if fidelity.inception_named() else code_only
    extractor = fidelity.load_extractor(name)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    features = [fidelity.features(images, extractor, device=device) for images in (real, fake)]
    return ImageScores(
        count=len(real),
        mse=mse,
        psnr=metrics.psnr(mse),
        rfd=fidelity.frechet_distance(*features),
        rfd_label=quantities.metric_label("rfd", extractor.id, extractor.verified, "inspect"),
    )


def _images(folder: Path) -> dict[str, Path]:
    """The images below a folder by their name without its ending."""
    folder = expanded(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder of images")
    found: dict[str, Path] = {}
    for name in listing(folder).names:
        path = folder / name
        if (twin := found.setdefault(os.path.splitext(name)[0], path)) != path:
            raise UserError(f"{twin} and {path} have one name: which one is to be compared?")
    if not found:
        raise UserError(f"{folder}: no images ({' '.join(sorted(SUFFIXES))})")
    return found


def _load(files: dict[str, Path]) -> NDArray[np.uint8]:
    """The images as (N, H, W, 3) uint8, in order of name."""
    images = []
    for name in sorted(files):
        images.append(np.asarray(read_rgb(files[name])))
        if images[-1].shape != images[0].shape:
            raise UserError(
                f"{files[name]}: is {images[-1].shape[:2]}, the first image {images[0].shape[:2]}"
            )
    return np.stack(images)
