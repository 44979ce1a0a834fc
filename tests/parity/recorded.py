"""Arrays recorded from running the official implementations, and how ours are held against them."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

ARRAYS = Path(__file__).parent / "arrays"


class Recorded:
    """One file of arrays: ``recorded["z_q"]`` is a tensor, floats as float32."""

    def __init__(self, name: str):
        self.arrays = np.load(ARRAYS / f"{name}.npz")
        self.meta = json.loads(str(self.arrays["meta"]))

    def __getitem__(self, key: str) -> Tensor:
        array = self.arrays[key]
        if array.dtype in (np.float16, np.float64):
            array = array.astype(np.float32)
        return torch.from_numpy(array if array.dtype == np.float32 else array.astype(np.int64))

    def __contains__(self, key: str) -> bool:
        return key in self.arrays.files

    def keys(self, prefix: str) -> list[str]:
        return [key for key in self.arrays.files if key.startswith(prefix)]

    @property
    def source(self) -> str:
        """Repository and commit."""
        return f"{self.meta['repo'].split(' ')[0]} {self.meta['commit'][:7]}"


@dataclass(frozen=True)
class Compared:
    """One quantity as ours and as the official code gives it.

    ``rounding`` is what the official float32 leaves open, relative to the largest magnitude.
    """

    quantity: str
    source: str
    ours: Tensor
    official: Tensor
    rounding: float = 1e-6

    def __post_init__(self) -> None:
        assert self.ours.shape == self.official.shape, self.quantity
        # Buffers go on changing in place after they are compared.
        object.__setattr__(self, "ours", self.ours.detach().clone())

    @property
    def deviation(self) -> float:
        """Largest absolute difference, relative to the largest official magnitude."""
        ours, official = self.ours.double(), self.official.double()
        scale = float(official.abs().max())
        return float((ours - official).abs().max()) / (scale or 1.0)

    def agrees(self) -> bool:
        """Tokens equal; else within 1e-4 of each element, or ``rounding`` of the largest one."""
        if not self.official.is_floating_point():
            return torch.equal(self.ours, self.official)
        scale = float(self.official.abs().max())
        return torch.allclose(self.ours, self.official, rtol=1e-4, atol=self.rounding * scale)


def grads(output: Tensor, upstream: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    """Gradients of <output, upstream> with respect to the inputs; zeros where there is none."""
    asked = [x for x in inputs if x.requires_grad]
    total = (output * upstream).sum()
    found = iter(torch.autograd.grad(total, asked, retain_graph=True, materialize_grads=True))
    return tuple(next(found) if x.requires_grad else torch.zeros_like(x) for x in inputs)
