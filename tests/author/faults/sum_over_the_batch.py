"""The loss is a sum over the batch."""

from tests.author.faults.right import PlainVQ

CHECK = "loss_scale"


class SumOverTheBatch(PlainVQ):
    def loss(self, z, codes):
        return super().loss(z, codes) * len(z)
