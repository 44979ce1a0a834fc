"""Noise that evaluation draws and does not use."""

import torch

from tests.author.faults.right import PlainVQ

CHECK = "side_effects"


class NoiseDrawnInEval(PlainVQ):
    def shown(self, z, codes):
        noise = torch.randn_like(z)
        return super().shown(z, codes) + (0.0 * noise if self.training else 0.0)
