"""conv1d: DeepMind's VQ-VAE networks along one axis, for sequences: every fourth position a token.

Paper: van den Oord, Vinyals, Kavukcuoglu. Neural discrete representation learning. NIPS 2017,
    section 4.1, whose audio network is of strided convolutions of kernel 4 and stride 2.
    https://arxiv.org/abs/1711.00937

Differs from the paper: six layers there, for waves of 16 kHz; how often the length is halved is
``halvings`` here, with the residual blocks of the image network (`vqvae`). A length that cannot be
halved so often is filled up with zeros behind its end, and what is decoded there is cut off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from collapsebench.quantizer import Incompatible
from collapsebench.settings import Count, Positive

label = "1-D convolutions"
implementation = 1
recordable = True
reads = ("sequences",)
for_dataset: dict[str, dict[str, Any]] = {}


@dataclass(frozen=True)
class Settings:
    """Widths are the DeepMind image example's."""

    width: Positive = 128  # hidden units
    residual_width: Positive = 32
    residual_layers: Count = 2
    halvings: Count = 2  # a token stands for 2 ** halvings positions


class Block(nn.Module):
    """x + conv1(relu(conv3(relu(x))))."""

    def __init__(self, settings: Settings):
        super().__init__()
        self.conv = nn.Conv2d(settings.width, settings.residual_width, (1, 3), padding=(0, 1))
        self.out = nn.Conv2d(settings.residual_width, settings.width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, 1, L) -> the same shape."""
        return x + self.out(functional.relu(self.conv(functional.relu(x))))


class Fill(nn.Module):
    """Zeros behind the end, up to a multiple of ``step``."""

    def __init__(self, step: int):
        super().__init__()
        self.step = step

    def forward(self, x: Tensor) -> Tensor:
        """(B, F, 1, L) -> (B, F, 1, a multiple of step)."""
        return functional.pad(x, (0, -x.shape[-1] % self.step))


class Encoder(nn.Module):
    """(B, F, 1, L) -> (B, out_channels, 1, L / 2 ** halvings, rounded up)."""

    def __init__(self, size: tuple[int, ...], out_channels: int, settings: Settings):
        super().__init__()
        _, features = _check(size, settings)
        n = settings.width
        layers: list[nn.Module] = [Fill(2**settings.halvings)]
        for i in range(settings.halvings):
            inputs = n if i else features
            layers += [nn.Conv2d(inputs, n, (1, 4), stride=(1, 2), padding=(0, 1)), nn.ReLU()]
        inputs = n if settings.halvings else features
        self.features = nn.Sequential(
            *layers,
            nn.Conv2d(inputs, n, (1, 3), padding=(0, 1)),
            nn.ReLU(),
            *(Block(settings) for _ in range(settings.residual_layers)),
            nn.ReLU(),
        )
        self.head = nn.Conv2d(n, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, F, 1, L) -> (B, out_channels, 1, L / 2 ** halvings, rounded up)."""
        return self.head(self.features(x))


class Decoder(nn.Module):
    """(B, in_channels, 1, l) -> (B, F, 1, L)."""

    def __init__(self, size: tuple[int, ...], in_channels: int, settings: Settings):
        super().__init__()
        self.length, features = _check(size, settings)
        n = settings.width
        layers: list[nn.Module] = [
            nn.Conv2d(in_channels, n, (1, 3), padding=(0, 1)),
            *(Block(settings) for _ in range(settings.residual_layers)),
            nn.ReLU(),
        ]
        for _ in range(settings.halvings):
            up = nn.ConvTranspose2d(n, n, (1, 4), stride=(1, 2), padding=(0, 1))
            layers += [up, nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(n, features, 1))

    def forward(self, z_q: Tensor) -> Tensor:
        """Decodes to sequences."""
        return self.layers(z_q)[..., : self.length]


def _check(size: tuple[int, ...], settings: Settings) -> tuple[int, int]:
    """Length and features; refuses a length that no token would be left of."""
    length, features = size
    if length < 2**settings.halvings:
        raise Incompatible(
            f"conv1d halves the length {settings.halvings} times, this one is {length}: "
            "set conv1d.halvings"
        )
    return length, features
