"""How good reconstructions are, from two folders of images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from collapsebench import metrics
from collapsebench.settings import UserError

IMAGE_SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}


@dataclass(frozen=True)
class ImageScores:
    """Reconstructions against originals.

    Attributes:
        count: number of pairs.
        mse: per channel value in [0, 1].
        psnr: dB, of that mean.
        rfd: Fréchet distance of features.
        rfd_label: its printed name, which names the extractor.
    """

    count: int
    mse: float
    psnr: float
    rfd: float
    rfd_label: str


def score_images(originals: Path, reconstructions: Path) -> ImageScores:
    """Compares two folders of images, paired by file name without its ending.

    Features are Inception's where a weights file is named or installed, else ``cb-randconv-v1``'s.

    Raises:
        UserError: no images, names without a partner, images of different sizes, or Inception
            weights that are missing where they are named, or not the published ones.
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
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder of images")
    found = {p.stem: p for p in sorted(folder.iterdir()) if p.suffix.lower() in IMAGE_SUFFIXES}
    if not found:
        raise UserError(f"{folder}: no images ({' '.join(sorted(IMAGE_SUFFIXES))})")
    return found


def _load(files: dict[str, Path]) -> NDArray[np.uint8]:
    """The images as (N, H, W, 3) uint8, in order of name."""
    from PIL import Image

    images = []
    for path in files.values():
        try:
            with Image.open(path) as image:
                images.append(np.asarray(image.convert("RGB")))
        except OSError as error:
            raise UserError(f"{path}: cannot be read as an image ({error})") from None
        if images[-1].shape != images[0].shape:
            raise UserError(
                f"{path}: is {images[-1].shape[:2]}, the first image {images[0].shape[:2]}"
            )
    return np.stack(images)
