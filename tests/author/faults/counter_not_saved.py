"""The loss grows with a counter that no checkpoint keeps."""

from tests.author.faults.right import PlainVQ

CHECK = "save_load"


class CounterNotSaved(PlainVQ):
    def __init__(self, dim=8, codebook_size=64, beta=0.25):
        super().__init__(dim, codebook_size, beta)
        self.calls = 0

    def loss(self, z, codes):
        self.calls += self.training
        return super().loss(z, codes) * min(1.0, self.calls / 20)
