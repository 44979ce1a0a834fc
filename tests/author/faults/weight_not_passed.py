"""The weight is taken and not used."""

from tests.author.faults.right import PlainVQ

CHECK = "commitment"


class WeightNotPassed(PlainVQ):
    def __init__(self, dim=8, codebook_size=64, commitment_weight=1.0):
        super().__init__(dim, codebook_size)
