"""A code must win more vectors than a batch has for each."""

from tests.author.faults.right import AverageVQ

CHECK = "revival_threshold"


class ThresholdAboveTheBatch(AverageVQ):
    def __init__(self, dim=8, codebook_size=64, dead_below=300.0):
        super().__init__(dim, codebook_size, dead_below)
