"""Evaluation seeds the global generator."""

import torch

from tests.author.faults.right import PlainVQ

CHECK = "side_effects"


class SeededInEval(PlainVQ):
    def forward(self, z):
        if not self.training:
            torch.manual_seed(0)
        return super().forward(z)
