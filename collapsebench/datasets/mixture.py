"""mixture: 20 480 vectors around 128 centres, whose best possible error at every rate is known.

    x = c_i + s e,  e ~ N(0, 1) in 64 dimensions, s = 1/4
    c_1 ... c_128: the rows of the 64 x 64 Hadamard matrix and their negatives, 160 vectors each

All centres are sqrt(128) apart or more, in units where one is sqrt(64) from the origin. A code that
serves n of them is off by the squares of their distances from their mean, at least 64 (n - 1) / n
each, so K codes leave (M - K) / M of the centres' variance whatever they serve, and all of the
noise; codes at the means of groups without a centre and its negative reach that:

    least error of K <= M = 128 codes:  ((M - K) / M + s^2) / (1 + s^2) of the variance
    of K > M codes, at least:           s^2 (M / K)^(2 / 64) / (1 + s^2)

the second by Shannon's lower bound for what is left, the noise (T. Berger, Rate Distortion Theory,
1971, section 4.3). Centres are 22 noise spreads from the middle between two, so that none is ever
mistaken. Source: numpy's PCG64, seed 0. Preprocessing and splits: those of `_vectors`; a split
holds a sample, so that errors on it can be a little below the least.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from collapsebench.datasets._forms import VectorForm
from collapsebench.datasets._vectors import VectorSet
from collapsebench.settings import Data

FEATURES, OF_EACH = 64, 160
CENTRES = 2 * FEATURES
NOISE = 0.25


class Mixture(VectorSet):
    """Made up; needs no file of yours."""

    label = "mixture"
    content = "128 centres, seed 0"

    def shape(self, settings: Data) -> tuple[int, ...]:
        """As many vectors around each centre."""
        return CENTRES * OF_EACH, FEATURES

    def form(self, settings: Data) -> VectorForm:
        """Vectors whose least error is known."""
        return VectorForm((FEATURES,), least=least_error)

    def rows(self, settings: Data, root: Path) -> tuple[np.ndarray, Callable[[], None]]:
        """All vectors, centre by centre."""
        noise = np.random.default_rng(0).standard_normal((CENTRES * OF_EACH, FEATURES))
        return np.repeat(centres(), OF_EACH, axis=0) + NOISE * noise, lambda: None


def centres() -> np.ndarray:
    """(128, 64) of 1 and -1: Sylvester's Hadamard matrix and its negative."""
    rows = np.ones((1, 1))
    while len(rows) < FEATURES:
        rows = np.block([[rows, rows], [rows, -rows]])
    return np.concatenate([rows, -rows])


def least_error(bits: float) -> float:
    """The least normalised error of a quantizer that tells 2 ** bits vectors apart."""
    codes = 2.0**bits
    if codes <= CENTRES:
        left = (CENTRES - codes) / CENTRES + NOISE**2
    else:
        left = NOISE**2 * (CENTRES / codes) ** (2 / FEATURES)
    return left / (1 + NOISE**2)
