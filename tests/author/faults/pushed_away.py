"""A minus before the commitment."""

from torch.nn import functional

from tests.author.faults.right import PlainVQ

CHECK = "commitment"


class PushedAway(PlainVQ):
    def loss(self, z, codes):
        codebook = functional.mse_loss(codes, z.detach())
        return codebook - self.beta * functional.mse_loss(z, codes.detach())
