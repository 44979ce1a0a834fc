"""``cb-randconv-v1``: an image feature extractor that needs no weights file.

Shallow convolutions at three scales whose filters are random signs, averaged over the image and
over a 2 x 2 grid. For regression tests and for ranking within one small study; its distance is
never a FID, and precision says little in this space (docs/scoring.md). Random features for
evaluation: Naeem et al., ICML 2020 (PRDC); multi-scale random filters: arXiv 1606.00021.

    x in [-1, 1]  -> for k in 3, 5, 9: ReLU(conv_k(x)), 48 filters, stride max(1, H // 32)
                  -> the mean of each filter, and the 2 x 2 means of every fourth
                  -> 3 * (48 + 12 * 4) = 288 features

The signs come from SHAKE-256 and from no library's random generator, so neither a version nor a
platform can change them. Any other change of the numbers needs another name, ``-v2``.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_fidelity import FeatureExtractorBase, register_feature_extractor
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

NAME = "cb-randconv-v1"
LAYER = "288"
KERNELS = (3, 5, 9)
FILTERS = 48
CHANNELS = 3
SIDE = 32  # larger images are read with a stride that gives about this many positions a side
GRID = 2
GRID_EVERY = 4  # filters 0, 4, 8, ... also keep their 2 x 2 means: all of them zero-mean ones
SIGNS_SHA256 = "eb429481a1819e36f7cfc7235b3231c5c9c7e2595808a64c176530c2f88678e7"


def sign_bytes(kernel: int) -> bytes:
    """The bits of one scale's signs, most significant first, from the tag "s<kernel>|0"."""
    bits = FILTERS * CHANNELS * kernel**2
    return hashlib.shake_256(f"s{kernel}|0".encode("ascii")).digest(bits // 8)


def filters(kernel: int) -> Tensor:
    """(48, 3, kernel, kernel) float32 of unit norm; even-numbered filters have zero mean."""
    bits = np.unpackbits(np.frombuffer(sign_bytes(kernel), dtype=np.uint8))
    weight = 2.0 * bits.reshape(FILTERS, -1) - 1.0
    weight[::2] -= weight[::2].mean(axis=1, keepdims=True)
    weight /= np.linalg.norm(weight, axis=1, keepdims=True)
    return torch.from_numpy(weight.reshape(FILTERS, CHANNELS, kernel, kernel).astype(np.float32))


class RandomConvolutions(FeatureExtractorBase):
    """The extractor as torch-fidelity wants it: (B, 3, H, W) uint8 -> ((B, 288) float32,)."""

    def __init__(self, name: str, features_list: list[str], **options: Any):
        # torch-fidelity hands every extractor all of its own options; none applies here.
        super().__init__(name, features_list)
        signs = b"".join(sign_bytes(kernel) for kernel in KERNELS)
        if hashlib.sha256(signs).hexdigest() != SIGNS_SHA256:
            raise RuntimeError(
                f"{NAME}: this platform does not give the signs of the specification"
            )
        self.weights = nn.ParameterList(nn.Parameter(filters(kernel)) for kernel in KERNELS)

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        """The one layer there is."""
        return (LAYER,)

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        """The same layer for every metric of torch-fidelity."""
        return LAYER

    @staticmethod
    def can_be_compiled() -> bool:
        """No: compiled kernels may sum in another order."""
        return False

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Features of (B, 3, H, W) uint8 images at their own resolution, H and W >= 2."""
        x = (images.float() - 127.5) / 127.5
        return (torch.cat([self._scale(x, weight) for weight in self.weights], dim=1),)

    def _scale(self, x: Tensor, weight: Tensor) -> Tensor:
        border = weight.shape[-1] // 2
        padded = functional.pad(x, [border] * 4, mode="replicate")
        maps = functional.conv2d(padded, weight, stride=max(1, x.shape[2] // SIDE)).relu()
        grid = functional.adaptive_avg_pool2d(maps[:, ::GRID_EVERY], GRID)
        return torch.cat([maps.mean(dim=(2, 3)), grid.flatten(1)], dim=1)


if NAME not in FEATURE_EXTRACTORS_REGISTRY:  # registering a name twice is an error there
    register_feature_extractor(NAME, RandomConvolutions)
