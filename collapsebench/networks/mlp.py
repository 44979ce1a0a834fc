"""mlp: layers that see one position at a time, for vectors and for sequences position by position.

Paper: none; two hidden layers with GELU on either side, as recommenders and tokenizers of
    embeddings use them (Rajput et al. Recommender systems with generative retrieval. NeurIPS 2023,
    section 4.1, has three with ReLU).

Differs from the paper: width and depth are settings; weights start as torch's default.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from collapsebench.settings import Count, Positive

label = "MLP"
implementation = 1
recordable = True
reads = ("vectors", "sequences")
for_dataset: dict[str, dict[str, Any]] = {}


@dataclass(frozen=True)
class Settings:
    """Ours."""

    width: Positive = 256
    layers: Count = 2  # hidden layers of encoder and of decoder; 0 = both are linear


class Pointwise(nn.Linear):
    """A linear layer over the channels of each position; as a convolution it is three times slower.

    (B, inputs, H, W) -> (B, outputs, H, W).
    """

    def forward(self, x: Tensor) -> Tensor:
        """Each position by itself."""
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class Encoder(nn.Module):
    """(B, F, 1, L) -> (B, out_channels, 1, L); L = 1 for vectors."""

    def __init__(self, size: tuple[int, ...], out_channels: int, settings: Settings):
        super().__init__()
        self.features, width = _hidden(size[-1], settings)
        self.head = Pointwise(width, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, F, 1, L) -> (B, out_channels, 1, L)."""
        return self.head(self.features(x))


class Decoder(nn.Module):
    """(B, in_channels, 1, L) -> (B, F, 1, L)."""

    def __init__(self, size: tuple[int, ...], in_channels: int, settings: Settings):
        super().__init__()
        hidden, width = _hidden(in_channels, settings)
        self.layers = nn.Sequential(hidden, Pointwise(width, size[-1]))

    def forward(self, z_q: Tensor) -> Tensor:
        """Decodes to vectors."""
        return self.layers(z_q)


def _hidden(inputs: int, settings: Settings) -> tuple[nn.Sequential, int]:
    """Hidden layers, and how many channels they give."""
    widths = [inputs, *[settings.width] * settings.layers]
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [Pointwise(before, after), nn.GELU()]
    return nn.Sequential(*layers), widths[-1]
