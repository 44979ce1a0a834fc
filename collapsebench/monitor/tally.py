"""Counts of the tokens of several codebooks, kept where the tokens are."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapsebench.metrics import Counts, to_array
from collapsebench.monitor.arrays import add_counts, beside, joined


class Tally:
    """How often each code of Q codebooks was chosen.

    Attributes:
        sizes: bins of each codebook, its K.
        codes: K of each.
        bins: (sum of all K + Q + 1,) int64, array or tensor: the codes of each codebook in turn,
            then one bin per codebook of tokens outside it, at last one of what is padding. With
            these, nothing about an update need be asked of a device.
    """

    def __init__(self, sizes: Sequence[int]):
        self.sizes = self.codes = tuple(sizes)
        self.starts = [0, *np.cumsum(self.sizes).tolist()]
        self.bins: Any = np.zeros(self.starts[-1] + len(sizes) + 1, dtype=np.int64)

    def add(self, parts: Sequence[Any], keeps: Sequence[Any]) -> None:
        """Counts flat int64 tokens of each codebook; ``keeps`` are where they are no padding."""
        index = joined(
            [self._index(q, *pair) for q, pair in enumerate(zip(parts, keeps, strict=True))]
        )
        self.bins = add_counts(beside(index, self.bins), index)

    def _index(self, q: int, tokens: Any, keep: Any) -> Any:
        inside = (tokens >= 0) & (tokens < self.sizes[q])
        index = (tokens + self.starts[q]) * inside + (self.starts[-1] + q) * ~inside
        return index if keep is None else index * keep + (len(self.bins) - 1) * ~keep

    def counts(self, pooled: NDArray[np.int64]) -> list[Counts]:
        """The counts (K,) of each codebook among bins.

        Raises:
            ValueError: tokens outside their codebook.
        """
        outside = pooled[self.starts[-1] : -1]
        for q in np.flatnonzero(outside):
            raise ValueError(
                f"{outside[q]} tokens are outside codebook {q} of {self.codes[q]} codes (0 to "
                f"{self.codes[q] - 1}); if they are padding, give a mask or ignore="
            )
        return [pooled[a:b] for a, b in zip(self.starts, self.starts[1:], strict=False)]

    def empty(self) -> None:
        """Begins anew, on the same device."""
        self.bins = self.bins * 0

    def host(self) -> NDArray[np.int64]:
        """The bins as a numpy array of their own: waits for the device."""
        return np.array(to_array(self.bins))

    def latest(self) -> list[NDArray[np.int64] | None]:
        """No single tokens are kept where codes are counted."""
        return [None for _ in self.sizes]

    def merge(self, other: Tally) -> None:
        """Adds what another one counted."""
        self.bins = self.bins + beside(self.bins, other.bins)

    def to(self, device: Any) -> None:
        """Moves the bins to a torch device."""
        self.bins = sys.modules["torch"].as_tensor(self.bins, device=device)

    def state(self) -> dict[str, Any]:
        """What goes into a checkpoint."""
        return {"bins": self.bins}

    def load(self, state: dict[str, Any]) -> None:
        """Goes on from a ``state``."""
        self.bins = state["bins"]
