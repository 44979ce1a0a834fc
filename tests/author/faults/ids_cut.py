"""Ids cut to whole numbers where rounding was meant."""

from tests.author.faults.right import Lattice

CHECK = "token_round_trip"


class IdsCut(Lattice):
    def __init__(self, levels=(9, 9)):
        super().__init__(levels)

    def ids(self, rounded):
        digits = (rounded / self.middle * 0.999 + 1) * self.middle
        return (digits.long() * self.bases).sum(-1)
