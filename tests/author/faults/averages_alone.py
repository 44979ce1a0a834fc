"""The averages are kept, the codebook is never rebuilt from them."""

from tests.author.faults.right import AverageVQ

CHECK = "codebook_learns"


class AveragesAlone(AverageVQ):
    def rebuild(self):
        pass
