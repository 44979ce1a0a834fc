"""A replaced code is in the codebook alone; the next step rebuilds it from its old averages."""

import torch

from tests.author.faults.right import AverageVQ

CHECK = "revival"


class AveragesNotTold(AverageVQ):
    def revive(self, vectors):
        dead = self.counts < self.dead_below
        chosen = self.from_first(vectors[torch.randint(len(vectors), (len(dead),))])
        self.codebook[dead] = chosen[dead]
