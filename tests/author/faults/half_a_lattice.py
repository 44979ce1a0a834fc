"""Levels below zero cannot be reached."""

from tests.author.faults.right import Lattice

CHECK = "reachable"


class HalfALattice(Lattice):
    def rounded(self, bounded):
        return bounded.relu().round()
