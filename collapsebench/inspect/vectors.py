"""What the vectors of a codebook look like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapsebench import metrics

SHOWN_CODES = 4096  # codes whose nearest one is searched, and points of the map
BLOCK = 256  # codes whose distances to all K are in memory at once


@dataclass(frozen=True)
class Geometry:
    """The vectors of one codebook.

    Attributes:
        values: of ``metrics.vector_metrics``.
        code_dim: D.
        shown: (S,) indices of evenly spaced finite codes, all of them up to ``SHOWN_CODES``.
        nearest: (S,) Euclidean distance from each to the nearest other code.
        plane: (S, 2), coordinates on the first two principal axes of the codebook.
        explained: share of the variance on those two axes, in [0, 1].
    """

    values: dict[str, float]
    code_dim: int
    shown: NDArray[np.int64]
    nearest: NDArray[np.float64]
    plane: NDArray[np.float64]
    explained: float


def geometry(codebook: NDArray[Any]) -> Geometry:
    """The ``Geometry`` of a codebook (K, D) of which at least one code is finite."""
    codes = metrics.finite_codes(codebook)
    exponent = np.frexp(np.abs(codes).max())[1]  # by powers of two: exact, and no square overflows
    codes = np.ldexp(codes, -exponent)
    shown = np.unique(np.linspace(0, len(codes) - 1, SHOWN_CODES).astype(np.int64))
    centred = codes - codes.mean(axis=0)
    variances, plane = _principal(centred)
    plane = np.ldexp(plane[shown], exponent)
    total = variances.sum()
    return Geometry(
        values=metrics.vector_metrics(codebook),
        code_dim=codebook.shape[1],
        shown=np.flatnonzero(np.isfinite(codebook).all(axis=1))[shown],
        nearest=np.ldexp(_nearest(codes, shown), exponent),
        plane=np.pad(plane, [(0, 0), (0, 2 - plane.shape[1])]),
        explained=float(variances[-2:].sum() / total) if total else 1.0,
    )


def _principal(centred: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Variances, ascending, and coordinates (N, 2) on the axes of the last two.

    From whichever of (D, D) and (N, N) is smaller: 8 codes may have 65 536 dimensions.
    """
    if len(centred) < centred.shape[1]:
        variances, vectors = np.linalg.eigh(centred @ centred.T)
        variances = np.maximum(variances, 0.0)
        return variances, (vectors * np.sqrt(variances))[:, ::-1][:, :2]
    variances, axes = np.linalg.eigh(centred.T @ centred)
    return variances, centred @ axes[:, ::-1][:, :2]


def _nearest(codebook: NDArray[np.float64], shown: NDArray[np.int64]) -> NDArray[np.float64]:
    """Distance from each shown code to the nearest other one; float64, so that equal is zero."""
    squares = np.square(codebook).sum(axis=1)
    found = []
    for start in range(0, len(shown), BLOCK):
        block = shown[start : start + BLOCK]
        distances = squares - 2 * codebook[block] @ codebook.T
        distances[np.arange(len(block)), block] = np.inf
        nearest = codebook[distances.argmin(axis=1)]
        found.append(np.linalg.norm(codebook[block] - nearest, axis=1))
    return np.concatenate(found)
