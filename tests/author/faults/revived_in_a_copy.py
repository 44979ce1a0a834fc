"""Indexing twice writes the new codes into a copy."""

import torch

from tests.author.faults.right import AverageVQ

CHECK = "revival"


class RevivedInACopy(AverageVQ):
    def revive(self, vectors):
        dead = (self.counts < self.dead_below).nonzero()[:, 0]
        chosen = self.from_first(vectors[torch.randint(len(vectors), (len(dead),))])
        self.codebook[dead][:] = chosen
