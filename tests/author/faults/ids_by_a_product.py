"""Ids by a matrix product, which autocast rounds to eight bits."""

from tests.author.faults.right import Lattice

CHECK = "token_round_trip"


class IdsByAProduct(Lattice):
    def __init__(self, levels=(9, 9, 9)):
        super().__init__(levels)

    def ids(self, rounded):
        digits = (rounded + self.middle).round().flatten(0, -2)
        ids = digits @ self.bases.float()[:, None]
        return ids.round().long().view(rounded.shape[:-1])
