"""The right value with the gradient's sign turned."""

from tests.author.faults.right import PlainVQ

CHECK = "encoder_gradient"


class NegativeStraightThrough(PlainVQ):
    def shown(self, z, codes):
        return (codes + z).detach() - z
