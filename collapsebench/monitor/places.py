"""Where the codes are and were: which inputs left which code, and which codes never had any."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapsebench.metrics import Counts, duplicate_codes, to_array
from collapsebench.monitor.arrays import as_given, float64

SHOWN = 4096  # codes of a codebook that are followed, evenly spaced
FAR = 2.0  # times the spacing of the inputs
NEIGHBOURS = 0.9  # share of the inputs that have another one within their spacing
BLOCK = 256  # codes whose distances to the inputs are in memory at once


class Places:
    """The codes of one codebook along training, up to ``SHOWN`` of them.

    Attributes:
        start: (S, D) at the first update, and ``inputs`` (R, D) of that update with their weights.
        last: (S, D + 1), each code where it was last chosen, and its distance to the nearest input
            there; NaN for a code that was not chosen yet.
    """

    def __init__(self, start: Any = None, inputs: Any = None, last: Any = None):
        self.start, self.inputs = start, inputs
        self.last: NDArray[np.float64] | None = None if last is None else np.array(to_array(last))

    def begin(self, codebook: Any, recent: Any) -> None:
        """Remembers the first update; copies on the device of the codebook."""
        if self.start is None:
            self.start = float64(as_given(codebook)[:: stride(codebook)])
            self.inputs = recent

    def evidence(
        self, codebook: Any, window: Counts, total: Counts, inputs: NDArray[np.float64] | None
    ) -> dict[str, float]:
        """Fields of ``causes.Evidence`` that codes (K, D) and the latest inputs (R, D) decide."""
        step = stride(codebook)
        codes = np.asarray(to_array(as_given(codebook)[::step]), dtype=np.float64)
        start = to_array(self.start)
        moved = np.linalg.norm(codes - start, axis=1)
        found = {
            "moved": float(np.nan_to_num(moved, nan=math.inf).max()),
            "copied_at_start": duplicate_codes(start) / len(start),
        }
        if inputs is None or not len(inputs) or inputs.shape[1] != codes.shape[1]:
            return found
        chosen, ever = window[::step] > 0, total[::step] > 0
        to_input = nearest(codes, inputs)
        if (~ever).any():
            found["far"] = float((to_input[~ever] > FAR * spacing(inputs)).mean())
        dropped = ever & ~chosen
        if dropped.any():
            found["left_behind"] = float(self._left(codes, start, to_input, moved)[dropped].mean())
        if self.last is None:
            self.last = np.full((len(codes), codes.shape[1] + 1), math.nan)
        self.last[chosen] = np.column_stack([codes, to_input])[chosen]
        return found

    def _left(
        self,
        codes: NDArray[np.float64],
        start: NDArray[np.float64],
        to_input: NDArray[np.float64],
        moved: NDArray[np.float64],
    ) -> NDArray[np.bool_]:
        """Which codes the inputs moved away from, further than the code: since either time."""
        left = np.zeros(len(codes), dtype=bool)
        if self.inputs is not None:
            vectors, weight = (to_array(part) for part in self.inputs)
            left = to_input - nearest(start, vectors[weight > 0]) > moved
        if self.last is not None:
            way = np.linalg.norm(codes - self.last[:, :-1], axis=1)
            left |= to_input - self.last[:, -1] > way
        return left


def stride(codebook: Any) -> int:
    """Every how many-th code is followed."""
    return max(1, -(-len(codebook) // SHOWN))


def nearest(codes: NDArray[np.float64], inputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of each code (S, D) to its nearest input (R, D)."""
    squares = np.square(inputs).sum(axis=1)
    found = []
    for begin in range(0, len(codes), BLOCK):
        block = codes[begin : begin + BLOCK]
        squared = np.square(block).sum(axis=1) + (squares[:, None] - 2 * inputs @ block.T)
        found.append(squared.min(axis=0))
    return np.sqrt(np.maximum(np.concatenate(found), 0))


def spacing(inputs: NDArray[np.float64]) -> float:
    """The distance within which ``NEIGHBOURS`` of the inputs (R, D) have another one."""
    squares = np.square(inputs).sum(axis=1)
    squared = squares[:, None] + squares - 2 * inputs @ inputs.T
    np.fill_diagonal(squared, math.inf)
    return math.sqrt(max(0.0, float(np.quantile(squared.min(axis=1), NEIGHBOURS))))
