"""A dropout that is always on."""

from torch.nn import functional

from tests.author.faults.right import PlainVQ

CHECK = "evaluation"


class DropoutInEval(PlainVQ):
    def shown(self, z, codes):
        return super().shown(z, functional.dropout(codes, 0.1))
