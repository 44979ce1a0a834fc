"""SQ-VAE's networks: strided convolutions and residual blocks with batch normalization.

Paper: Takida et al. SQ-VAE: Variational Bayes on discrete representation with self-annealed
    stochastic quantization. ICML 2022, appendix. https://arxiv.org/abs/2205.07547
Reference code: sony/sqvae, vision/networks (CIFAR10 and CelebA), dc88ab1.

Differs from the official code: there the code dimension is also the width of the networks, so
that D = 16 means an autoencoder of 20 000 parameters; here ``width`` is free and 1x1 convolutions
join the two where they differ (``width = 0`` is the literal reading, width = D). There is no
official network for 128 pixels: all sizes but 32 use the one for 64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from collapsebench.quantizer import Incompatible
from collapsebench.settings import Count, Positive

label = "SQ-VAE"
implementation = 1
recordable = True
for_dataset: dict[str, dict[str, Any]] = {"celeba": {"blocks": 6}, "lsun_church": {"blocks": 6}}


@dataclass(frozen=True)
class Settings:
    """Defaults are the official CIFAR10 configuration's."""

    width: Count = 64  # even; 0 = as wide as what the quantizer reads and gives
    blocks: Positive = 2  # residual blocks; CelebA: 6


class Block(nn.Module):
    """x + [ReLU, conv3, BN, ReLU, conv1, BN](x)."""

    def __init__(self, width: int):
        super().__init__()
        self.path = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 1),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) -> the same shape."""
        return x + self.path(x)


class Encoder(nn.Module):
    """(B, 3, H, W) in [0, 1] -> (B, out_channels, H/4, W/4)."""

    def __init__(self, image_size: int, out_channels: int, settings: Settings):
        super().__init__()
        n = _width(image_size, out_channels, settings)
        small = image_size == 32
        self.features = nn.Sequential(
            nn.Conv2d(3, n // 2, 4, stride=2, padding=1),
            nn.BatchNorm2d(n // 2),
            nn.ReLU(),
            nn.Conv2d(n // 2, n, 4, stride=2, padding=1),
            nn.BatchNorm2d(n),
            nn.ReLU(),
            nn.Conv2d(n, n, 3, padding=1),
            *((nn.BatchNorm2d(n), nn.ReLU()) if small else ()),
            *(Block(n) for _ in range(settings.blocks)),
        )
        self.head = nn.Conv2d(n, out_channels, 1) if n != out_channels else nn.Identity()
        _initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, out_channels, H/4, W/4)."""
        return self.head(self.features(x))


class Decoder(nn.Module):
    """(B, in_channels, H/4, W/4) -> (B, 3, H, W) in [0, 1]."""

    def __init__(self, image_size: int, in_channels: int, settings: Settings):
        super().__init__()
        n = _width(image_size, in_channels, settings)
        small = image_size == 32
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, n, 1) if n != in_channels else nn.Identity(),
            *(Block(n) for _ in range(settings.blocks if small else settings.blocks - 1)),
            nn.ConvTranspose2d(n, n, 3, padding=1),
            nn.BatchNorm2d(n),
            nn.ReLU(),
            nn.ConvTranspose2d(n, n // 2, 4, stride=2, padding=1),
            nn.BatchNorm2d(n // 2),
            nn.ReLU(),
            nn.ConvTranspose2d(n // 2, 3, 4, stride=2, padding=1),
            nn.Sigmoid(),
        )
        _initialize(self)

    def forward(self, z_q: Tensor) -> Tensor:
        """Decodes to images."""
        return self.layers(z_q)


def _width(image_size: int, channels: int, settings: Settings) -> int:
    width = settings.width or channels
    if image_size % 4:
        raise Incompatible(f"sqvae halves images twice: {image_size} pixels do not divide by 4")
    if width % 2:
        raise Incompatible(f"width {width}: must be even, its half is used")
    return width


def _initialize(module: nn.Module) -> None:
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, 0.02)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, 0.02)
