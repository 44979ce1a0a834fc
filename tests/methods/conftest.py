"""What the tests of the methods share: a codebook of three codes in the plane, two vectors."""

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from collapsebench import ops


@pytest.fixture
def codebook():
    """(3, 2): the corners of a 3-4-5 triangle."""
    return torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])


@pytest.fixture
def z_e():
    """(1, 2, 1, 2): the vectors (1, 1), nearest to code 0, and (2, 1), nearest to code 1."""
    return torch.tensor([[[[1.0, 2.0]], [[1.0, 1.0]]]]).requires_grad_()


@pytest.fixture
def logits():
    """(1, 3, 1, 1): odds 1 : 1 : 2."""
    return torch.tensor([0.0, 0.0, math.log(2)]).view(1, 3, 1, 1).requires_grad_()


@pytest.fixture
def make(codebook):
    """Builds a method with the codebook of three codes."""

    def build(method, **settings):
        quantizer = method(3, 2, method.Settings(**settings))
        quantizer.codebook.data.copy_(codebook)
        return quantizer

    return build


@pytest.fixture
def without_gumbel():
    """Calls the method with noise whose Gumbel value is 0 everywhere, (B, H, W, K)."""

    def call(quantizer, z_e, noise):
        shape = (z_e.shape[0], *z_e.shape[2:], 3)
        with ops.replayed_noise([torch.full(shape, noise)]):
            return quantizer(z_e)

    return call


@pytest.fixture
def largest():
    """Calls a function and returns the size of the largest tensor that an operation gave in it."""

    class Watch(TorchDispatchMode):
        def __init__(self):
            super().__init__()
            self.elements = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            outputs = function(*args, **(kwargs or {}))
            for output in outputs if isinstance(outputs, tuple) else (outputs,):
                if isinstance(output, torch.Tensor):
                    self.elements = max(self.elements, output.numel())
            return outputs

    def call(function):
        with Watch() as watch:
            function()
        return watch.elements

    return call
