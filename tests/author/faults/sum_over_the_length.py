"""Squares are added over the positions."""

from tests.author.faults.right import PlainVQ

CHECK = "loss_scale"


class SumOverTheLength(PlainVQ):
    def loss(self, z, codes):
        commitment = (z - codes.detach()).square().sum(1).mean()
        return (codes - z.detach()).square().sum(1).mean() + self.beta * commitment
