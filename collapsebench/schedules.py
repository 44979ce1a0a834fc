"""What a training does when: rates as functions of t, and the order of an epoch.

t is the step rescaled to the paper's 150 000. t and every rate are 0-d tensors of the same type;
the arithmetic is float64, for in float32 1 - cos x is noise near x = 0.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor


def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """(count,) int64: the order in which one epoch visits its examples, of seed and epoch alone.

    Numpy's, for it takes a seed of any length: torch's generator on a CPU reads the low 32 bits.
    """
    return np.random.default_rng((seed, epoch)).permutation(count)


def quarter_cosine(t: Tensor, start: float, end: float, steps: float) -> Tensor:
    """From ``start`` at t = 0 to ``end`` at t = ``steps``, then constant; flat first, steep last.

    A = 1 - cos(r pi / 2), r = min(t / steps, 1): what the official code calls cosine annealing
    (ituvisionlab/EdVAE dfcb50e, utils.cos_anneal).
    """
    share = 1 - torch.cos(_progress(t, steps) * (math.pi / 2))
    return (share * end + (1 - share) * start).to(t.dtype)


def half_cosine(t: Tensor, start: float, end: float, steps: float) -> Tensor:
    """The usual cosine annealing: A = (1 - cos(r pi)) / 2, flat at both ends."""
    share = (1 - torch.cos(_progress(t, steps) * math.pi)) / 2
    return (share * end + (1 - share) * start).to(t.dtype)


def exponential(t: Tensor, rate: float = 1e-5) -> Tensor:
    """exp(-rate t): the temperature of the paper's appendix C, 0.223 at its last step."""
    return torch.exp(-rate * t.double()).to(t.dtype)


def _progress(t: Tensor, steps: float) -> Tensor:
    return (t.double() / steps).clamp(0, 1)
