"""The look-up is detached before the codebook's loss."""

from tests.author.faults.right import PlainVQ

CHECK = "codebook_learns"


class CodebookDetached(PlainVQ):
    def loss(self, z, codes):
        return super().loss(z, codes.detach())
