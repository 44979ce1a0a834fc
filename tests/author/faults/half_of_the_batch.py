"""Only the first half of the batch has a straight-through term."""

import torch

from tests.author.faults.right import PlainVQ

CHECK = "encoder_gradient"


class HalfOfTheBatch(PlainVQ):
    def shown(self, z, codes):
        half = len(z) // 2
        through = z[:half] + (codes[:half] - z[:half]).detach()
        return torch.cat([through, codes[half:].detach()])
