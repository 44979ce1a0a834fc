"""Distances between two sets of features: Fréchet, precision and recall, nearest neighbours."""

from __future__ import annotations

import contextlib
import hashlib
import io

import numpy as np
import torch
from prdc import compute_prdc
from torch_fidelity.metric_fid import (
    KEY_METRIC_FID,
    fid_features_to_statistics,
    fid_statistics_to_metric,
)

from collapsebench.settings import UserError

Statistics = dict[str, np.ndarray]  # "mu" (F,) float32 and "sigma" (F, F) float64

PRDC_LIMIT = 20_000  # images a side: prdc holds about 19 bytes per pair, 7.6 GB here


def statistics(features: np.ndarray) -> Statistics:
    """Mean and covariance (ddof=1) of features (N, F).

    Raises:
        UserError: a feature that is not finite, or fewer than 2 images.
    """
    checked = _checked(features)
    if len(checked) < 2:
        raise UserError(f"a Fréchet distance needs at least 2 images a side, got {len(checked)}")
    return fid_features_to_statistics(torch.from_numpy(checked))


def frechet_distance(a: np.ndarray | Statistics, b: np.ndarray | Statistics) -> float:
    """The squared Fréchet distance of two Gaussians, in [0, inf) up to rounding.

    |mu_a - mu_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2)): Heusel et al., NeurIPS 2017, eq. 6, as
    torch-fidelity 0.4 computes it, from the eigenvalues of S_a S_b.

    Args:
        a: features (N, F), or their ``statistics``.
        b: the same; the order does not matter.

    Raises:
        UserError: as ``statistics``.
    """
    first, second = (s if isinstance(s, dict) else statistics(s) for s in (a, b))
    return float(fid_statistics_to_metric(first, second, verbose=False)[KEY_METRIC_FID])


def precision_recall(real: np.ndarray, fake: np.ndarray, k: int) -> dict[str, float]:
    """Precision, recall, density and coverage on k-nearest-neighbour balls, by the prdc package.

    Kynkäänniemi et al., NeurIPS 2019 (precision, recall); Naeem et al., ICML 2020 (density,
    coverage). More than k exact copies of an image give its ball the radius 0: recall is then 0
    whatever the images are.

    Args:
        real: (N, F) features of the reference.
        fake: (M, F) features of generated images.
        k: the neighbour that sets a ball's radius, the image itself not counted.

    Returns:
        "precision", "recall", "coverage" in [0, 1] and "density" in [0, inf).

    Raises:
        UserError: a feature that is not finite; fewer than k + 2 images (prdc's floor) or more
            than 20 000 on a side.
    """
    check_neighbours(k, len(real), "reference")
    check_neighbours(k, len(fake), "generated")
    with contextlib.redirect_stdout(io.StringIO()):  # it prints the counts
        found = compute_prdc(_checked(real), _checked(fake), nearest_k=k)
    return {name: float(value) for name, value in found.items()}


def check_neighbours(k: int, count: int, what: str) -> None:
    """Whether ``count`` images of one side are enough for k neighbours, and not too many.

    Raises:
        UserError: fewer than k + 2 (prdc's floor) or more than 20 000.
    """
    if not k + 2 <= count <= PRDC_LIMIT:
        raise UserError(
            f"precision and recall at k={k} take {k + 2} to {PRDC_LIMIT} images a side, "
            f"got {count} {what} images"
        )


def unique_fraction(arrays: np.ndarray) -> float:
    """Number of distinct arrays among the N of (N, ...), divided by N; in (0, 1]."""
    distinct = {hashlib.sha256(np.ascontiguousarray(array).data).digest() for array in arrays}
    return len(distinct) / len(arrays)


def nearest(samples: np.ndarray, reference: np.ndarray, n: int) -> np.ndarray:
    """Indices (S, n) of the n reference features (N, F) nearest to each sample's (S, F).

    Nearest first; of equal distances the smaller index first.
    """
    distances = [np.square(reference - sample).sum(axis=1) for sample in samples]
    return np.argsort(distances, axis=1, kind="stable")[:, :n]


def _checked(features: np.ndarray) -> np.ndarray:
    if not np.isfinite(features).all():
        bad = int((~np.isfinite(features).all(axis=1)).sum())
        raise UserError(
            f"the features of {bad} of {len(features)} images are not finite numbers: "
            "check the extractor's weights"
        )
    return np.asarray(features, dtype=np.float32)
