"""Nothing pulls the vectors to their codes."""

from torch.nn import functional

from tests.author.faults.right import PlainVQ

CHECK = "commitment"


class NoCommitment(PlainVQ):
    def loss(self, z, codes):
        return functional.mse_loss(codes, z.detach())
