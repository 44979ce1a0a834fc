"""What the items of a dataset are, images, vectors or sequences; all that depends on it is here.

How stored items become what a model sees, what the error of a reconstruction is measured in, and
which items, in which file, are kept for the page. Trainer, encoder and report ask the form and know
none by name. Tensors are torch's, which nothing here imports.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol

import numpy as np

from collapsebench import metrics
from collapsebench.datasets._cache import Size
from collapsebench.settings import RECONSTRUCTED, RECONSTRUCTIONS, STAGES

Tensor = Any


class Errors(Protocol):
    """What is summed over the batches of a split."""

    def add(self, x_hat: Tensor, x: Tensor) -> None:
        """Takes reconstructions and what was reconstructed, (B, C, H, W) both."""

    def values(self) -> dict[str, float]:
        """Metric -> value over all that was added."""


class Form:
    """What an item is; a subclass says how it is seen, measured and drawn.

    Class attributes:
        noun: "images"; a network family says with it what it ``reads``.
        network: the family that items are trained on unless one is named; "" = the method's own.
        stages: that can work on such items.
        error: the metric that reconstructions are judged by.
        shown: how many items of the test split the page shows, and ``file``: where they are kept.

    Attributes:
        size: what networks are told: the side of images, the shape of other items.
    """

    noun: ClassVar[str]
    network: ClassVar[str] = ""
    stages: ClassVar[tuple[str, ...]] = STAGES
    error: ClassVar[str]
    shown: ClassVar[int]
    file: ClassVar[str]
    size: Size

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an item as a model sees it."""
        raise NotImplementedError

    @property
    def extent(self) -> str:
        """The size in words."""
        raise NotImplementedError

    def known(self, entry: Mapping[str, Any]) -> Form:
        """The form of decoded items, which knows what ``entry.json`` says of them."""
        return self

    def batch(self, stored: Tensor) -> Tensor:
        """Stored items (B, ...) as a tensor -> float32 (B, C, H, W), channels last."""
        raise NotImplementedError

    def stored(self, x: Tensor) -> np.ndarray:
        """What a model gives, (B, C, H, W) -> items (B, ...) as they are stored."""
        raise NotImplementedError

    def variance(self, items: np.ndarray) -> float:
        """Squared error per element, in a model's units, of predicting the mean of 4 096 items."""
        raise NotImplementedError

    def errors(self) -> Errors:
        """A new sum over the errors of a split."""
        raise NotImplementedError

    def of_tokens(
        self, tokens: np.ndarray, codebook_size: int, codebooks: int, error: float
    ) -> dict[str, float]:
        """Metrics of items as they are told apart by their tokens (N, h, w) or (N, h, w, Q).

        ``error`` is that of their reconstructions.
        """
        return {}


@dataclass(frozen=True)
class ImageForm(Form):
    """Square images, stored as uint8 (N, H, W, 3) and seen in [0, 1]."""

    noun = "images"
    error = "mse"
    shown = 8
    file = RECONSTRUCTIONS

    size: int = 0

    @property
    def shape(self) -> tuple[int, int, int]:
        """Three colours."""
        return 3, self.size, self.size

    @property
    def extent(self) -> str:
        """Like "32 x 32 pixels"."""
        return f"{self.size} x {self.size} pixels"

    def batch(self, stored: Tensor) -> Tensor:
        """uint8 (B, H, W, 3) -> (B, 3, H, W) in [0, 1]."""
        return stored.permute(0, 3, 1, 2).float().div_(255)

    def stored(self, x: Tensor) -> np.ndarray:
        """(B, 3, H, W) -> (B, H, W, 3) uint8: clamped to [0, 1], times 255, rounded half up."""
        scaled = x.clamp(0, 1).mul(255).add(0.5).floor().byte()
        pixels: np.ndarray = scaled.permute(0, 2, 3, 1).cpu().numpy()
        return pixels

    def variance(self, items: np.ndarray) -> float:
        """Of the mean colour."""
        return float((items[:4096] / 255.0).var(axis=(0, 1, 2)).mean())

    def errors(self) -> Errors:
        """Mean squared error and its decibels."""
        return PixelErrors()


class PixelErrors:
    """``mse`` of pixels in [0, 1], and ``psnr``."""

    def __init__(self) -> None:
        self.squared, self.count = 0.0, 0

    def add(self, x_hat: Tensor, x: Tensor) -> None:
        """Takes a batch."""
        self.squared += float((x_hat - x).double().square().mean(dim=(1, 2, 3)).sum())
        self.count += len(x)

    def values(self) -> dict[str, float]:
        """Both metrics."""
        mse = self.squared / self.count
        return {"mse": mse, "psnr": metrics.psnr(mse)}


@dataclass(frozen=True)
class VectorForm(Form):
    """Vectors, stored as float32 (N, F) and standardised; one position each, F channels.

    Attributes:
        mean, scale: (F,), of the train split, by which they were standardised.
        least: bits of an item -> the least normalised error, where data are made so that it is
            known.
    """

    noun = "vectors"
    network = "mlp"
    stages: ClassVar[tuple[str, ...]] = ("train", "encode")
    axes: ClassVar[tuple[str, ...]] = ("features",)
    error = "normalised_error"
    shown = 200
    file = RECONSTRUCTED

    size: tuple[int, ...]
    mean: np.ndarray = field(default_factory=lambda: np.zeros(1), compare=False)
    scale: np.ndarray = field(default_factory=lambda: np.ones(1), compare=False)
    least: Callable[[float], float] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """A row of positions."""
        return self.size[-1], 1, math.prod(self.size[:-1])

    @property
    def extent(self) -> str:
        """Like "64 features" or "50 positions x 64 features"."""
        return " x ".join(f"{n} {of}" for n, of in zip(self.size, self.axes, strict=True))

    def known(self, entry: Mapping[str, Any]) -> Form:
        """With the mean and the scale; without them where the items were stored as they are."""
        mean, scale = entry.get("mean", 0.0), entry.get("scale", 1.0)
        return replace(self, mean=np.array(mean), scale=np.array(scale))

    def batch(self, stored: Tensor) -> Tensor:
        """(B, F) -> (B, F, 1, 1); (B, length, F) -> (B, F, 1, length)."""
        return stored.float().unsqueeze(1).movedim(-1, 1).reshape(len(stored), self.size[-1], 1, -1)

    def stored(self, x: Tensor) -> np.ndarray:
        """The reverse of ``batch``."""
        items: np.ndarray = x.movedim(1, -1).reshape(len(x), *self.size).cpu().numpy()
        return items

    def variance(self, items: np.ndarray) -> float:
        """Near 1: items are standardised."""
        rows = items[:4096].reshape(-1, self.size[-1]).astype(np.float64)
        return float(rows.var(axis=0).mean())

    def errors(self) -> Errors:
        """Normalised error and cosine similarity."""
        return VectorErrors(self.mean, self.scale)

    def of_tokens(
        self, tokens: np.ndarray, codebook_size: int, codebooks: int, error: float
    ) -> dict[str, float]:
        """Bits of an item, and how often two share all their tokens; none without a codebook."""
        if codebooks == 0:
            return {}
        values = metrics.tuple_metrics(tokens.reshape(len(tokens), -1), codebook_size)
        if self.least is not None:
            best = self.least(values["bits_per_item"])
            values |= {"best_possible_error": best, "excess_error": error - best}
        return values


class VectorErrors:
    """``normalised_error`` of standardised vectors, and ``cosine_similarity`` of the original ones.

    Args:
        mean: (F,), what standardising took away.
        scale: (F,), what it divided by.
    """

    def __init__(self, mean: np.ndarray, scale: np.ndarray):
        self.mean, self.scale = mean, scale
        self.squared = self.power = self.cosine = 0.0
        self.positions = 0

    def add(self, x_hat: Tensor, x: Tensor) -> None:
        """Takes a batch, (B, F, 1, length)."""
        x_hat, x = x_hat.double(), x.double()
        self.squared += float((x_hat - x).square().sum())
        self.power += float(x.square().sum())
        mean, scale = (x.new_tensor(values).view(-1, 1, 1) for values in (self.mean, self.scale))
        a, b = x_hat * scale + mean, x * scale + mean
        norms = (a.norm(dim=1) * b.norm(dim=1)).clamp(min=1e-30)  # a vector of zeros is like none
        self.cosine += float(((a * b).sum(1) / norms).sum())
        self.positions += norms.numel()

    def values(self) -> dict[str, float]:
        """Both metrics."""
        error = self.squared / self.power if self.power else math.nan
        return {"normalised_error": error, "cosine_similarity": self.cosine / self.positions}


@dataclass(frozen=True)
class SequenceForm(VectorForm):
    """Sequences of vectors, stored as float32 (N, length, F); a row of positions, F channels."""

    noun = "sequences"
    network = "conv1d"
    stages = ("train", "encode", "prior")
    axes = ("positions", "features")
    shown = 4


IMAGES = ImageForm()


def form_of(size: Size) -> Form:
    """Images of a side, vectors (F,) or sequences (length, F)."""
    if isinstance(size, int):
        return ImageForm(size)
    return VectorForm(size) if len(size) == 1 else SequenceForm(size)
