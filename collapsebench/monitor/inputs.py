"""What a codebook is given to choose from: moments of z_e, and a few of its latest vectors."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from collapsebench import metrics
from collapsebench.monitor.arrays import beside, float64

MOST = 4096  # vectors of an update that enter the moments, evenly spaced
RECENT = 1024  # vectors of the last update that are kept


class Moments(NamedTuple):
    """Number, mean (D,) and scatter (D, D) about the mean of vectors, float64."""

    n: Any
    mean: Any
    scatter: Any

    def merged(self, other: Moments) -> Moments:
        """Those of both sets of vectors (Chan, Golub and LeVeque 1979, eq. 2.1)."""
        total = self.n + other.n
        share = other.n / (total + (total == 0))
        step = other.mean - self.mean
        scatter = self.scatter + other.scatter + step[:, None] * step * (self.n * share)
        return Moments(total, self.mean + step * share, scatter)

    @property
    def variance(self) -> float:
        """Mean variance of a channel; NaN of no vectors."""
        return float(np.trace(self.scatter) / self.n / len(self.mean)) if self.n else math.nan

    @property
    def offset(self) -> float:
        """Mean square of the mean, per channel."""
        return float(np.square(self.mean).mean())

    @property
    def effective_rank(self) -> float:
        """``metrics.effective_rank`` of the centred vectors, in [1, D]; 0 if all are equal."""
        if not np.isfinite(self.scatter).all():
            return math.nan
        singular = np.sqrt(np.maximum(np.linalg.eigvalsh(self.scatter), 0.0))
        return metrics.effective_rank(np.diag(singular))

    def evidence(self) -> dict[str, float]:
        """Fields of ``causes.Evidence``."""
        return {
            "code_dim": float(len(self.mean)),
            "z_e_variance": self.variance,
            "z_e_offset": self.offset,
            "z_e_effective_rank": self.effective_rank,
        }


class Inputs:
    """The z_e of one codebook since it was last emptied; all on its device.

    Attributes:
        moments: None before the first vectors.
        recent: vectors (S, D) of the last update, and (S,) whether each counts.
    """

    def __init__(self, moments: Any = None, recent: Any = None):
        self.moments: Moments | None = moments and Moments(*moments)
        self.recent: Any = recent

    def add(self, vectors: Any, keep: Any) -> None:
        """Takes vectors (n, D); ``keep`` (n,) says which are no padding, None that all count."""
        stride = max(1, -(-len(vectors) // MOST))
        z = float64(vectors[::stride])
        weight = z[:, 0] * 0 + 1 if keep is None else float64(beside(z, keep)[::stride] * 1)
        z = z * weight[:, None]
        n = weight.sum()
        mean = z.sum(0) / (n + (n == 0))
        centred = (z - mean) * weight[:, None]
        latest = Moments(n, mean, centred.T @ centred)
        self._merge(latest)
        few = max(1, -(-len(z) // RECENT))
        self.recent = z[::few], weight[::few]

    def merge(self, other: Inputs) -> None:
        """Adds the vectors that another one was given; the latest are its own, if it has any."""
        if other.moments is not None:
            self._merge(other.moments)
        self.recent = self.recent if other.recent is None else other.recent

    def _merge(self, latest: Moments) -> None:
        if self.moments is not None:
            latest = Moments(*(beside(latest.mean, one) for one in self.moments)).merged(latest)
        self.moments = latest

    def empty(self) -> None:
        """Begins anew; the latest vectors stay."""
        self.moments = None

    def host(self) -> Given:
        """All of it in numpy: waits for the device."""
        moments = self.moments and Moments(*(metrics.to_array(part) for part in self.moments))
        if self.recent is None:
            return Given(moments, None)
        vectors, weight = (metrics.to_array(part) for part in self.recent)
        return Given(moments, vectors[(weight > 0) & np.isfinite(vectors).all(axis=1)])


class Given(NamedTuple):
    """Moments, and the latest vectors (S, D) that count, in numpy; None where none came."""

    moments: Moments | None
    recent: NDArray[np.float64] | None


def pooled(parts: Sequence[Given]) -> Given:
    """What several ranks were given, as one."""
    moments = [part.moments for part in parts if part.moments is not None]
    recent = [part.recent for part in parts if part.recent is not None]
    merged = functools.reduce(Moments.merged, moments) if moments else None
    return Given(merged, np.concatenate(recent) if recent else None)
