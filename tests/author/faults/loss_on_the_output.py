"""The codebook's loss is built on the straight-through output."""

from torch.nn import functional

from tests.author.faults.right import PlainVQ

CHECK = "codebook_learns"


class LossOnTheOutput(PlainVQ):
    def loss(self, z, codes):
        output = self.shown(z, codes)
        commitment = functional.mse_loss(z, codes.detach())
        return functional.mse_loss(output, z.detach()) + self.beta * commitment
