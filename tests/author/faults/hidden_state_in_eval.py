"""A running mean that is no buffer moves in evaluation."""

from tests.author.faults.right import PlainVQ

CHECK = "evaluation"


class HiddenStateInEval(PlainVQ):
    def __init__(self, dim=8, codebook_size=64, beta=0.25):
        super().__init__(dim, codebook_size, beta)
        self.gain = 1.0

    def forward(self, z):
        if not self.training:
            self.gain = 0.5
        vectors, tokens, loss = super().forward(z)
        return vectors, tokens, self.gain * loss
