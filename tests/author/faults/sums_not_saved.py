"""The sums are an attribute that no checkpoint keeps."""

from tests.author.faults.right import AverageVQ

CHECK = "save_load"


class SumsNotSaved(AverageVQ):
    def __init__(self, dim=8, codebook_size=64, dead_below=0.5):
        super().__init__(dim, codebook_size, dead_below)
        sums = self.sums
        del self.sums
        self.sums = sums
