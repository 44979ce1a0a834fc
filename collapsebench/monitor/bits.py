"""Codebooks too large to count (2^32 codes, say): what the bits of their tokens tell.

Memory is B squared counts and ``RECENT`` tokens for a codebook of 2^B codes. Logarithms are
natural.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapsebench.metrics import COLLAPSED_RELATIVE_PERPLEXITY, Counts, to_array
from collapsebench.monitor.arrays import beside, float64, joined, stacked
from collapsebench.monitor.tally import Tally

LARGEST_COUNTED = 2**24  # codes; more are seen by their bits
RECENT = 2**16  # tokens whose coverage is estimated
ENOUGH = 1000  # tokens before bits are judged


class Bits(Tally):
    """How often each bit, and each pair of bits, of the tokens of Q codebooks was one.

    Attributes:
        bins: as those of ``Tally``, where a codebook of 2^B codes has B * B + 1: the pairs, each
            bit with itself among them, and the number of tokens.
        recent: the last tokens of each codebook, below zero where they do not count.
    """

    def __init__(self, sizes: Sequence[int]):
        """Raises ``ValueError`` for a size that is no power of two."""
        self.widths = [size.bit_length() - 1 for size in sizes]
        if any(size != 2**width for size, width in zip(sizes, self.widths, strict=True)):
            raise ValueError(
                f"codebooks above {LARGEST_COUNTED:,} codes have 2^n of them, not {sizes}"
            )
        super().__init__([width**2 + 1 for width in self.widths])
        self.codes = tuple(sizes)
        self.recent: list[Any] = [np.empty(0, dtype=np.int64) for _ in sizes]

    def add(self, parts: Sequence[Any], keeps: Sequence[Any]) -> None:
        """Counts flat int64 tokens of each codebook; ``keeps`` are where they are no padding."""
        counts = []
        outside = []
        for q, (tokens, keep) in enumerate(zip(parts, keeps, strict=True)):
            inside = (tokens >= 0) & (tokens < self.codes[q])
            counted = inside if keep is None else inside & keep
            bits = float64(stacked([((tokens >> b) & 1) * counted for b in range(self.widths[q])]))
            pairs = (bits @ bits.swapaxes(0, 1)).reshape(-1)
            counts += [pairs, float64(counted.sum().reshape(1))]
            missed = ~inside if keep is None else ~inside & keep
            outside.append(float64(missed.sum().reshape(1)))
            marked = tokens * counted - 1 * ~counted
            self.recent[q] = joined([beside(marked, self.recent[q]), marked])[-RECENT:]
        update = joined([*counts, *outside, outside[0] * 0])
        self.bins = beside(update, self.bins) + to_int64(update)

    def latest(self) -> list[NDArray[np.int64] | None]:
        """The last tokens that count, of each codebook, in numpy: waits for the device."""
        found = [np.asarray(to_array(one)) for one in self.recent]
        return [one[one >= 0] for one in found]

    def merge(self, other: Tally) -> None:
        """Adds what another one counted."""
        super().merge(other)
        if isinstance(other, Bits):
            pairs = zip(self.recent, other.recent, strict=True)
            self.recent = [joined([mine, beside(mine, theirs)])[-RECENT:] for mine, theirs in pairs]

    def state(self) -> dict[str, Any]:
        """What goes into a checkpoint."""
        return super().state() | {"recent": self.recent}

    def load(self, state: dict[str, Any]) -> None:
        """Goes on from a ``state``."""
        super().load(state)
        self.recent = list(state["recent"])


def to_int64(values: Any) -> Any:
    """Whole floats as int64."""
    return values.round().long() if hasattr(values, "detach") else np.rint(values).astype(np.int64)


def bit_metrics(counts: Counts) -> tuple[dict[str, float], dict[str, float]]:
    """Metrics and ceilings of the counts (B * B + 1,) of a codebook; nothing where no token was.

    Returns:
        ``bit_entropy`` and ``bit_entropy_min``, the mean and the least entropy of a bit, in
        [0, log 2]; ``bit_correlation``, the largest absolute correlation of two bits;
        ``perplexity_bound``, which the perplexity cannot exceed: exp of the entropy of the tree of
        bits that has the same pairs (Chow and Liu 1968, eq. 20), in [1, K].
    """
    n, width = int(counts[-1]), math.isqrt(len(counts) - 1)
    if n == 0:
        return {}, {}
    both = counts[:-1].reshape(width, width) / n
    p = np.diag(both)
    entropies = _plogp(p) + _plogp(1 - p)
    deviation = np.sqrt(p * (1 - p))
    scale = np.outer(deviation, deviation)
    correlation = np.divide(both - np.outer(p, p), scale, out=np.zeros_like(both), where=scale > 0)
    np.fill_diagonal(correlation, 0.0)
    only, other = p[:, None] - both, p - both
    joint = _plogp(both) + _plogp(only) + _plogp(other) + _plogp(1 - both - only - other)
    information = np.maximum(entropies[:, None] + entropies - joint, 0.0)
    values = {
        "bit_entropy": float(entropies.mean()),
        "bit_entropy_min": float(entropies.min()),
        "bit_correlation": float(np.abs(correlation).max()),
        "perplexity_bound": math.exp(max(0.0, entropies.sum() - _heaviest_tree(information))),
    }
    best = {"bit_entropy": math.log(2), "bit_entropy_min": math.log(2)}
    return values, best | {"perplexity_bound": 2.0**width}


def coverage(
    tokens: NDArray[np.int64], codebook_size: int
) -> tuple[dict[str, float], dict[str, float]]:
    """How probably a next token is one of those seen: 1 - (seen once) / n, in [0, 1].

    Good 1953, Biometrika 40, eq. 9, after Turing. Beside it what uniform use would give: little.
    """
    if not len(tokens):
        return {}, {}
    once = int((np.unique(tokens, return_counts=True)[1] == 1).sum())
    uniform = -math.expm1((len(tokens) - 1) * math.log1p(-1 / codebook_size))
    return {"coverage": 1 - once / len(tokens)}, {"coverage": uniform}


def verdict(counts: Counts, bound: float) -> str:
    """Of ``metrics.verdict``'s words; never "healthy", which bits alone cannot show."""
    width = math.isqrt(len(counts) - 1)
    few = counts[-1] < ENOUGH or bound >= COLLAPSED_RELATIVE_PERPLEXITY * 2.0**width
    return "too few tokens to tell" if few else "collapsed"


def _plogp(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """-p log p, 0 at and below 0 (rounding)."""
    return -p * np.log(np.where(p > 0, p, 1.0))


def _heaviest_tree(weights: NDArray[np.float64]) -> float:
    """The weight of the heaviest spanning tree (Prim 1957)."""
    reach, inside, total = weights[0].copy(), np.arange(len(weights)) == 0, 0.0
    for _ in range(len(weights) - 1):
        nearest = int(np.where(inside, -1.0, reach).argmax())
        total += float(reach[nearest])
        inside[nearest] = True
        reach = np.maximum(reach, weights[nearest])
    return total
