"""The search stops before the last code."""

import torch

from tests.author.faults.right import PlainVQ

CHECK = "reachable"


class LastCodeLeftOut(PlainVQ):
    def nearest(self, z):
        codes = self.codebook[:-1].detach().expand(len(z), -1, -1)
        return torch.cdist(z.detach(), codes).argmin(-1)
