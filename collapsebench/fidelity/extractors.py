"""Images to features, in one pass that feeds every metric."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch_fidelity.utils import create_feature_extractor, get_featuresdict_from_dataset

from collapsebench.fidelity import randconv
from collapsebench.fidelity.weights import (
    INCEPTION_SHA256,
    WAYS,
    inception_weights,
    read_weights,
)
from collapsebench.quantities import INCEPTION
from collapsebench.results import disk
from collapsebench.settings import UserError, did_you_mean

Progress = Callable[[int, int], None]  # images done, images in all

EXTRACTORS = (INCEPTION, randconv.NAME)
BATCHES_PER_REPORT = 16


@dataclass(frozen=True)
class Extractor:
    """What turns images into features, as plain data; it belongs to a value's identity.

    Attributes:
        id: the name in records; an unverified file adds "@" and 12 digits of its hash.
        name: torch-fidelity's name of it.
        layer: the layer read.
        dim: number of features.
        sha256: of the weights file, or of the signs of ``cb-randconv-v1``.
        verified: the weights are the published ones.
        resize: what happens to the images first.
        weights: the file; None for an extractor that is code only.
    """

    id: str
    name: str
    layer: str
    dim: int
    sha256: str
    verified: bool
    resize: str
    weights: Path | None = None


RANDCONV = Extractor(
    id=randconv.NAME,
    name=randconv.NAME,
    layer=randconv.LAYER,
    dim=int(randconv.LAYER),
    sha256=randconv.SIGNS_SHA256,
    verified=True,
    resize=f"none, convolution stride max(1, H // {randconv.SIDE})",
)


def load_extractor(
    name: str, weights: Path | None = None, *, allow_unverified: bool = False
) -> Extractor:
    """The extractor of that name, its weights found and their hash checked, nothing loaded yet.

    Args:
        name: "inception-v3-compat" or "cb-randconv-v1".
        weights: an Inception weights file, or None to look in the usual places.
        allow_unverified: take another file than the published one, under another id.

    Raises:
        UserError: an unknown name, no weights, or weights whose hash is not the published one.
    """
    if name == randconv.NAME:
        return RANDCONV
    if name == INCEPTION:
        return _inception(inception_weights(weights), allow_unverified)
    raise UserError(f"unknown extractor {name!r}{did_you_mean(name, EXTRACTORS)}")


def _inception(path: Path, allow_unverified: bool) -> Extractor:
    digest = disk.sha256(path)
    verified = digest == INCEPTION_SHA256
    if not verified and not allow_unverified:
        raise UserError(
            f"Inception weights at {path} have SHA-256 {digest[:12]}..., not the published "
            f"{INCEPTION_SHA256[:12]}...: {WAYS}; to use them all the same, never as FID: "
            "--allow-unverified-weights"
        )
    return Extractor(
        id=INCEPTION if verified else f"{INCEPTION}@{digest[:12]}",
        name=INCEPTION,
        layer="2048",
        dim=2048,
        sha256=digest,
        verified=verified,
        resize="bilinear to 299 x 299 as TensorFlow 1 does it",
        weights=path,
    )


def features(
    images: np.ndarray,
    extractor: Extractor,
    *,
    device: torch.device | str,
    batch_size: int = 64,
    progress: Progress | None = None,
) -> np.ndarray:
    """The features of each image, in float32 arithmetic without TF32.

    Args:
        images: (N, H, W, 3) uint8.
        extractor: from ``load_extractor``.
        device: where the network runs.
        batch_size: images per forward pass; the result does not depend on it.
        progress: called now and then.

    Returns:
        (N, F) float32.

    Raises:
        UserError: the weights file does not fit the network.
        ValueError: ``images`` is something else.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or not len(images):
        raise ValueError(f"images must be (N, H, W, 3) uint8, got {images.shape} {images.dtype}")
    module = _module(extractor, torch.device(device))
    step = batch_size * BATCHES_PER_REPORT
    parts = []
    with _exact(torch.device(device)) as cuda:
        for start in range(0, len(images), step):
            part = _Images(images[start : start + step])
            found = get_featuresdict_from_dataset(part, module, batch_size, cuda, True, False)
            parts.append(found[extractor.layer].numpy())
            if progress:
                progress(min(start + step, len(images)), len(images))
    return np.concatenate(parts)


class _Images(torch.utils.data.Dataset[torch.Tensor]):
    """Bare (3, H, W) uint8 tensors, which is what torch-fidelity reads."""

    def __init__(self, images: np.ndarray):
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        # A copy: the array may be a read-only memory map.
        return torch.from_numpy(self.images[index].transpose(2, 0, 1).copy())


def _module(extractor: Extractor, device: torch.device) -> Any:
    weights = extractor.weights and read_weights(extractor.weights, extractor.sha256)
    try:
        module = create_feature_extractor(
            extractor.name,
            [extractor.layer],
            cuda=False,
            feature_extractor_weights_path=weights,
            verbose=False,
        )
    except (RuntimeError, TypeError) as error:
        if extractor.weights is None:
            raise
        first = str(error).splitlines()[0]
        raise UserError(f"{extractor.weights} does not fit {extractor.name}: {first}") from None
    return module.to(device)


@contextmanager
def _exact(device: torch.device) -> Iterator[bool]:
    """Full float32 on a GPU, the caller's settings restored; yields whether it is one."""
    if device.type != "cuda":
        yield False
        return
    matmul = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with (
            torch.cuda.device(device),
            torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False),
        ):
            yield True
    finally:
        torch.set_float32_matmul_precision(matmul)
