"""DeepMind's VQ-VAE networks: two strided convolutions and a residual stack, and the reverse.

Paper: van den Oord, Vinyals, Kavukcuoglu. Neural discrete representation learning. NIPS 2017,
    section 4.1. https://arxiv.org/abs/1711.00937
Reference code: google-deepmind/sonnet (v2), examples/vqvae_example.ipynb, 26b0518;
    zalandoresearch/pytorch-vq-vae, Encoder, Decoder, b98fde9.

Differs from the paper: its CIFAR10 network has 256 hidden units in all layers
(``width = 256, residual_width = 256``); the example, and what followed it, 128 and 32. In the
popular PyTorch port (``residual = "zalando"``) the first ReLU of a block works in place, so that
the skip carries relu(x), and its residual convolutions have no bias. Weights start as torch's
default.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn import functional

from collapsebench.quantizer import Incompatible
from collapsebench.settings import Count, Positive

label = "VQ-VAE"
implementation = 1
recordable = True
for_dataset: dict[str, dict[str, Any]] = {}


@dataclass(frozen=True)
class Settings:
    """Defaults are the DeepMind example's."""

    width: Positive = 128  # hidden units, even
    residual_width: Positive = 32
    residual_layers: Count = 2
    residual: Literal["sonnet", "zalando"] = "sonnet"


class Shift(nn.Module):
    """x + offset: the network itself works on [-0.5, 0.5]."""

    def __init__(self, offset: float):
        super().__init__()
        self.offset = offset

    def forward(self, x: Tensor) -> Tensor:
        """Of the shape of ``x``."""
        return x + self.offset


class Block(nn.Module):
    """x + conv1(relu(conv3(relu(x)))); in the flavour "zalando", relu(x) + the same."""

    def __init__(self, settings: Settings):
        super().__init__()
        width, hidden, bias = settings.width, settings.residual_width, settings.residual == "sonnet"
        self.conv = nn.Conv2d(width, hidden, 3, padding=1, bias=bias)
        self.out = nn.Conv2d(hidden, width, 1, bias=bias)
        self.identity = settings.residual == "sonnet"

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) -> the same shape."""
        active = functional.relu(x)
        path = self.out(functional.relu(self.conv(active)))
        return (x if self.identity else active) + path


class Encoder(nn.Module):
    """(B, 3, H, W) in [0, 1] -> (B, out_channels, H/4, W/4)."""

    def __init__(self, image_size: int, out_channels: int, settings: Settings):
        super().__init__()
        _check(image_size, settings)
        n = settings.width
        self.features = nn.Sequential(
            Shift(-0.5),
            nn.Conv2d(3, n // 2, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(n // 2, n, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(n, n, 3, padding=1),
            nn.ReLU(),
            *(Block(settings) for _ in range(settings.residual_layers)),
            nn.ReLU(),
        )
        self.head = nn.Conv2d(n, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, out_channels, H/4, W/4)."""
        return self.head(self.features(x))


class Decoder(nn.Module):
    """(B, in_channels, H/4, W/4) -> (B, 3, H, W), images on the [0, 1] scale, not bounded by it."""

    def __init__(self, image_size: int, in_channels: int, settings: Settings):
        super().__init__()
        _check(image_size, settings)
        n = settings.width
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, n, 3, padding=1),
            *(Block(settings) for _ in range(settings.residual_layers)),
            nn.ReLU(),
            nn.ConvTranspose2d(n, n // 2, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(n // 2, 3, 4, stride=2, padding=1),
            Shift(0.5),
        )

    def forward(self, z_q: Tensor) -> Tensor:
        """Decodes to images."""
        return self.layers(z_q)


def _check(image_size: int, settings: Settings) -> None:
    if image_size % 4:
        raise Incompatible(f"vqvae halves images twice: {image_size} pixels do not divide by 4")
    if settings.width % 2:
        raise Incompatible(f"width {settings.width}: must be even, its half is used")
