"""The codebook is an attribute that is neither parameter nor buffer."""

from tests.author.faults.right import PlainVQ

CHECK = "codebook_learns"


class PlainTensor(PlainVQ):
    def __init__(self, dim=8, codebook_size=64, beta=0.25):
        super().__init__(dim, codebook_size, beta)
        codes = self.codebook.detach().clone()
        del self.codebook
        self.codebook = codes.requires_grad_()
