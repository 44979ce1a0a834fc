"""Each process draws its own new codes."""

from tests.author.faults.right import AverageVQ

CHECK = "two_processes"


class RevivalOfOneProcess(AverageVQ):
    def from_first(self, tensor):
        return tensor
