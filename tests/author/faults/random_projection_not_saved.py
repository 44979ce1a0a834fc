"""A small random rotation that is drawn anew after loading."""

import torch

from tests.author.faults.right import PlainVQ

CHECK = "save_load"


class RandomProjectionNotSaved(PlainVQ):
    def __init__(self, dim=8, codebook_size=64, beta=0.25):
        super().__init__(dim, codebook_size, beta)
        angles = 0.2 * torch.randn(dim, dim)
        self.rotation = torch.linalg.matrix_exp(angles - angles.T)

    def nearest(self, z):
        turned = self.codebook.detach() @ self.rotation
        return torch.cdist(z.detach(), turned.expand(len(z), -1, -1)).argmin(-1)
