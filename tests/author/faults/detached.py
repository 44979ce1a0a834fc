"""The decoder's vectors are cut off the graph."""

from tests.author.faults.right import PlainVQ

CHECK = "encoder_gradient"


class Detached(PlainVQ):
    def shown(self, z, codes):
        return codes.detach()
