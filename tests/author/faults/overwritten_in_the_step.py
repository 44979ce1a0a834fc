"""Codes are replaced first, then rebuilt from averages that were not."""

import torch

from tests.author.faults.right import AverageVQ

CHECK = "revival"


class OverwrittenInTheStep(AverageVQ):
    @torch.no_grad()
    def update(self, vectors, tokens):
        self.average(vectors, tokens)
        self.revive(vectors)
        self.rebuild()

    def revive(self, vectors):
        dead = self.counts < self.dead_below
        chosen = self.from_first(vectors[torch.randint(len(vectors), (len(dead),))])
        self.codebook[dead] = chosen[dead]
