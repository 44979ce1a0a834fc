"""The DALL-E dVAE's residual networks, as the EdVAE paper shrank them: three groups of two blocks.

Paper: Ramesh et al. Zero-shot text-to-image generation. ICML 2021, appendix A.1;
    Baykal, Kandemir, Unal. EdVAE. Pattern Recognition 156 (2024) 110792, Table C.5.
Reference code: ituvisionlab/EdVAE, DVAEEncoder, DVAEDecoder, dfcb50e.

Differs from the EdVAE paper: Table C.5 gives all convolutions of a block the same width and a plain
sum; the code has a bottleneck of a quarter (``bottleneck = 1`` is the table) and scales the path by
1/36 (``gain = 1``). Neither the 1x1 convolution on the skip where the width changes, nor the ReLU
before the encoder's last convolution, nor the initialization N(0, 0.02^2) is in the paper
(``init = "torch"`` is torch's own).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from collapsebench.quantizer import Incompatible
from collapsebench.settings import Positive, PositiveFloat

label = "DALL-E"
implementation = 1
recordable = True
for_dataset: dict[str, dict[str, Any]] = {"lsun_church": {"kernel": 7}}  # Table C.5


@dataclass(frozen=True)
class Settings:
    """Defaults are the official configuration's."""

    width: Positive = 128  # n: channels at full resolution, Table C.5
    kernel: Positive = 3  # of the first convolution, odd
    bottleneck: Positive = 4  # reference code; Table C.5: 1
    gain: PositiveFloat = 1 / 36  # reference code: 1 / (number of blocks)^2; Table C.5: 1
    init: Literal["official", "torch"] = "official"  # reference code


class Shift(nn.Module):
    """x + offset: the network itself works on [-0.5, 0.5]."""

    def __init__(self, offset: float):
        super().__init__()
        self.offset = offset

    def forward(self, x: Tensor) -> Tensor:
        """Of the shape of ``x``."""
        return x + self.offset


class Block(nn.Module):
    """``skip(x) + gain path(x)``: four convolutions of the given kernels, each after a ReLU."""

    def __init__(self, inputs: int, outputs: int, kernels: tuple[int, ...], settings: Settings):
        super().__init__()
        hidden = outputs // settings.bottleneck
        widths = [inputs, hidden, hidden, hidden, outputs]
        layers: list[nn.Module] = []
        for i, kernel in enumerate(kernels):
            # The first ReLU must leave its input alone: the skip needs it.
            layers += [nn.ReLU(inplace=i > 0), _conv(widths[i], widths[i + 1], kernel)]
        self.path = nn.Sequential(*layers)
        self.skip = _conv(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self.gain = settings.gain

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W)."""
        return torch.add(self.skip(x), self.path(x), alpha=self.gain)


class Encoder(nn.Module):
    """(B, 3, H, W) in [0, 1] -> (B, out_channels, H/4, W/4)."""

    def __init__(self, image_size: int, out_channels: int, settings: Settings):
        super().__init__()
        _check(image_size, settings)
        n, kernels = settings.width, (3, 3, 3, 1)
        self.features = nn.Sequential(
            Shift(-0.5),
            _conv(3, n, settings.kernel),
            Block(n, n, kernels, settings),
            Block(n, n, kernels, settings),
            nn.MaxPool2d(2),
            Block(n, 2 * n, kernels, settings),
            Block(2 * n, 2 * n, kernels, settings),
            nn.MaxPool2d(2),
            Block(2 * n, 4 * n, kernels, settings),
            Block(4 * n, 4 * n, kernels, settings),
            nn.ReLU(),
        )
        self.head = _conv(4 * n, out_channels, 1)
        _initialize(self, settings)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, out_channels, H/4, W/4)."""
        return self.head(self.features(x))


class Decoder(nn.Module):
    """(B, in_channels, H/4, W/4) -> (B, 3, H, W), images on the [0, 1] scale, not bounded by it."""

    def __init__(self, image_size: int, in_channels: int, settings: Settings):
        super().__init__()
        _check(image_size, settings)
        n, kernels = settings.width, (1, 3, 3, 3)
        self.layers = nn.Sequential(
            Block(in_channels, 4 * n, kernels, settings),
            Block(4 * n, 4 * n, kernels, settings),
            nn.Upsample(scale_factor=2, mode="nearest"),
            Block(4 * n, 2 * n, kernels, settings),
            Block(2 * n, 2 * n, kernels, settings),
            nn.Upsample(scale_factor=2, mode="nearest"),
            Block(2 * n, n, kernels, settings),
            Block(n, n, kernels, settings),
            nn.ReLU(),
            _conv(n, 3, 1),
            Shift(0.5),
        )
        _initialize(self, settings)

    def forward(self, z_q: Tensor) -> Tensor:
        """Decodes to images."""
        return self.layers(z_q)


def _conv(inputs: int, outputs: int, kernel: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)


def _check(image_size: int, settings: Settings) -> None:
    if image_size % 4:
        raise Incompatible(f"dalle halves images twice: {image_size} pixels do not divide by 4")
    if settings.width % settings.bottleneck:
        raise Incompatible(f"width {settings.width} / bottleneck {settings.bottleneck}: not whole")
    if settings.kernel % 2 == 0:
        raise Incompatible(f"kernel {settings.kernel}: must be odd, or the image changes its size")


def _initialize(module: nn.Module, settings: Settings) -> None:
    if settings.init == "official":
        for layer in module.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, 0.0, 0.02)
