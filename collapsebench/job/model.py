"""DiscreteVAE = encoder, quantizer, decoder: one item to tokens and back."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from collapsebench.datasets import Size, form_of
from collapsebench.networks import refuse_unread
from collapsebench.quantizer import Quantized, Quantizer


class DiscreteVAE(nn.Module):
    """Encoder, quantizer and decoder of one job.

    Attributes:
        autocast: run the networks in bfloat16; the last encoder convolution, the quantizer and
            every evaluation stay in float32.
        recordable: as of a method, here of all three parts.
    """

    def __init__(self, encoder: nn.Module, quantizer: Quantizer, decoder: nn.Module):
        super().__init__()
        self.encoder = encoder
        self.quantizer = quantizer
        self.decoder = decoder
        self.autocast = False
        self.recordable = False

    def encode(self, x: Tensor) -> Tensor:
        """x (B, 3, H, W) in [0, 1], other items (B, F, 1, W) -> z_e (B, C, h, w) float32."""
        if not (self.autocast and self.training):
            return self.encoder(x).float()
        with torch.autocast(x.device.type, torch.bfloat16):
            features = self.encoder.features(x)  # type: ignore[operator]
        return self.encoder.head(features.float())  # type: ignore[operator]

    def decode(self, z_q: Tensor) -> Tensor:
        """z_q (B, D, h, w) -> x_hat of the shape of x, float32, not clamped."""
        if not (self.autocast and self.training):
            return self.decoder(z_q)
        with torch.autocast(z_q.device.type, torch.bfloat16):
            return self.decoder(z_q).float()

    def forward(self, x: Tensor) -> tuple[Tensor, Quantized]:
        """x -> (x_hat, what the quantizer returned)."""
        quantized = self.quantizer(self.encode(x))
        return self.decode(quantized.z_q), quantized

    @torch.no_grad()
    def tokens(self, x: Tensor) -> Tensor:
        """x as in ``encode`` -> tokens (B, h, w) or (B, h, w, Q) int64."""
        return self.quantizer(self.encode(x)).tokens

    @torch.no_grad()
    def images(self, tokens: Tensor) -> Tensor:
        """Tokens -> images (B, 3, H, W), clamped to [0, 1]."""
        return self.decode(self.quantizer.embed(tokens)).clamp(0, 1)

    def parameter_counts(self) -> dict[str, int]:
        """Trainable parameters of encoder, decoder and quantizer."""
        parts = {"encoder": self.encoder, "decoder": self.decoder, "quantizer": self.quantizer}
        return {
            f"parameters_{name}": sum(p.numel() for p in part.parameters() if p.requires_grad)
            for name, part in parts.items()
        }


def build(
    method: type[Quantizer],
    family: ModuleType,
    *,
    image_size: Size,
    codebook_size: int,
    code_dim: int,
    method_settings: Any,
    network_settings: Any,
    seed: int,
) -> DiscreteVAE:
    """A fresh model, its weights decided by ``seed`` (the global generators are seeded).

    Args:
        image_size: of items that are no images their shape.

    Raises:
        Incompatible: the quantizer or the network cannot work at these sizes or on such items.
    """
    refuse_unread(family, form_of(image_size).noun)
    torch.manual_seed(seed)
    quantizer = method(codebook_size, code_dim, method_settings)
    encoder = family.Encoder(image_size, quantizer.encoder_channels, network_settings)
    decoder = family.Decoder(image_size, code_dim, network_settings)
    model = DiscreteVAE(encoder, quantizer, decoder)
    model.recordable = method.recordable and getattr(family, "recordable", False)
    return model
