"""The look-up returns the row that the layer has not seen."""

from tests.author.faults.right import ProjectedVQ

CHECK = "token_round_trip"


class UnprojectedRow(ProjectedVQ):
    def get_codebook_entry(self, indices, shape):
        return self.embedding(indices.reshape(shape[:3])).permute(0, 3, 1, 2)
