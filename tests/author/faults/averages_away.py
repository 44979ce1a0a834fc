"""The averages go the wrong way."""

from tests.author.faults.right import AverageVQ

CHECK = "codebook_learns"


class AveragesAway(AverageVQ):
    def rebuild(self):
        towards = self.sums / self.counts.clamp(min=1e-3)[:, None]
        self.codebook.copy_(2 * self.codebook - towards)
        self.sums.copy_(self.codebook * self.counts[:, None])

    def revive(self, vectors):
        pass
