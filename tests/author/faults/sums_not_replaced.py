"""The code and its count are replaced, its sum is not."""

import torch

from tests.author.faults.right import AverageVQ

CHECK = "revival"


class SumsNotReplaced(AverageVQ):
    def revive(self, vectors):
        dead = self.counts < self.dead_below
        chosen = self.from_first(vectors[torch.randint(len(vectors), (len(dead),))])
        self.codebook[dead] = chosen[dead]
        self.counts[dead] = 1.0
