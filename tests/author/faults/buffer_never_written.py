"""The codebook is a buffer, and nothing rewrites it."""

from tests.author.faults.right import PlainVQ

CHECK = "codebook_learns"


class BufferNeverWritten(PlainVQ):
    def __init__(self, dim=8, codebook_size=64, beta=0.25):
        super().__init__(dim, codebook_size, beta)
        codes = self.codebook.detach().clone()
        del self.codebook
        self.register_buffer("codebook", codes)
