"""The images of one trained model to its distances, under a protocol recorded with them."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from collapsebench.fidelity.distances import (
    check_neighbours,
    frechet_distance,
    nearest,
    precision_recall,
)
from collapsebench.fidelity.extractors import Extractor, Progress, features
from collapsebench.fidelity.reference import Reference, load_reference
from collapsebench.settings import PROTOCOLS, Score, UserError, digest

SECOND_K = 3  # the k of the paper that introduced precision and recall; beside `score.k`
SHOWN = 8  # samples whose nearest reference images are looked up
NEIGHBOURS = 3  # how many for each
PACKAGES = ("torch", "torch-fidelity", "prdc", "scikit-learn", "numpy")
PROVENANCE = ("versions", "numerics")  # recorded with a protocol, but not what tells two apart


@dataclass(frozen=True)
class Scored:
    """What scoring found.

    Attributes:
        metrics: rfd and, where there are samples, gfd, fd_gap, precision, recall, density,
            coverage and the last four with the suffix "_k3".
        protocol: how that was measured, JSON-ready.
        neighbours: (8, 3) indices into the reference of the images nearest to the first samples,
            among those that precision and recall see; None without samples.
    """

    metrics: dict[str, float]
    protocol: dict[str, Any]
    neighbours: np.ndarray | None = None


@dataclass(frozen=True)
class ImageCounts:
    """How many images of each kind one scoring compares."""

    n_reference: int
    n_reconstructions: int
    n_generated: int
    n_prdc: int  # a side, for precision, recall, density and coverage


def score(
    reference: np.ndarray,
    reconstructions: np.ndarray,
    samples: np.ndarray | None,
    settings: Score,
    *,
    extractor: Extractor,
    cache: Path | None,
    reference_hash: str,
    device: torch.device | str,
    progress: Progress | None = None,
) -> Scored:
    """Distances of reconstructions and of prior samples from the training images.

    The protocol sets the counts: the first generated images, the first reconstructions and a
    seeded draw of the reference are taken. ``rfd`` sees as many reconstructions as ``gfd`` sees
    samples, or the whole of a smaller train split.

    Args:
        reference: (N, H, W, 3) uint8, the train split.
        reconstructions: (M, H, W, 3) uint8, of images of the train split.
        samples: (S, H, W, 3) uint8, decoded samples of the prior; None without a prior.
        settings: protocol, k, and the seed of the draw.
        extractor: from ``load_extractor``.
        cache: folder for what is kept of the reference; None computes it anew.
        reference_hash: hash of the data set, for the record; the cache hashes the images.
        device: where features are computed.
        progress: called with images done and images in all, for each set in turn.

    Raises:
        UserError: fewer images than the protocol needs, fewer than k + 2, features that are not
            finite, or samples that are all the same image.
    """
    counts = _counts(settings, reference, reconstructions, samples)
    if samples is not None:
        _check_samples(samples, counts, settings)

    def read(images: np.ndarray) -> np.ndarray:
        return features(images, extractor, device=device, progress=progress)

    drawn = (counts.n_reference, counts.n_prdc, settings.seed)
    known = load_reference(reference, *drawn, extractor, read, cache)
    rfd = frechet_distance(known.statistics, read(reconstructions[: counts.n_reconstructions]))
    protocol = _protocol(settings, counts, extractor, reference_hash, device)
    if samples is None:
        return Scored({"rfd": rfd}, protocol)

    generated = read(samples[: counts.n_generated])
    gfd = frechet_distance(known.statistics, generated)
    metrics = {"rfd": rfd, "gfd": gfd, "fd_gap": gfd - rfd}
    for suffix, k in (("", settings.k), (f"_k{SECOND_K}", SECOND_K)):
        found = precision_recall(known.features, generated[: counts.n_prdc], k)
        metrics |= {name + suffix: value for name, value in found.items()}
    return Scored(metrics, protocol, _neighbours(generated, known))


def protocol_id(protocol: dict[str, Any]) -> str:
    """16 hex digits, equal for two protocols whose numbers may share a table cell."""
    return digest({name: value for name, value in protocol.items() if name not in PROVENANCE})


def _counts(
    settings: Score, reference: np.ndarray, reconstructions: np.ndarray, samples: np.ndarray | None
) -> ImageCounts:
    def take(what: str, asked: int, there: int) -> int:
        if there < asked and protocol.rankable:
            raise UserError(
                f"the protocol {settings.protocol!r} needs {asked} {what} images, there are "
                f"{there}; take more, or a smaller one: --set score.protocol=..."
            )
        return min(asked, there)

    protocol, whole = PROTOCOLS[settings.protocol], len(reference)
    n_reference = take("reference", protocol.reference or whole, whole)
    n_prdc = take("reference", protocol.prdc, n_reference)
    n_reconstructions = take("reconstructed", min(protocol.generated, whole), len(reconstructions))
    if samples is None:
        return ImageCounts(n_reference, n_reconstructions, 0, n_prdc)
    n_generated = take("generated", protocol.generated, len(samples))
    return ImageCounts(n_reference, n_reconstructions, n_generated, min(n_prdc, n_generated))


def _check_samples(samples: np.ndarray, counts: ImageCounts, settings: Score) -> None:
    """What would fail, or say nothing, after minutes of feature extraction."""
    check_neighbours(max(settings.k, SECOND_K), counts.n_prdc, "generated or reference")
    if (samples[: counts.n_generated] == samples[0]).all():
        raise UserError(
            f"all {counts.n_generated} samples are the same image: the codebook or the prior has "
            "collapsed, and there is no distribution to compare"
        )


def _neighbours(generated: np.ndarray, known: Reference) -> np.ndarray:
    return known.indices[nearest(generated[:SHOWN], known.features, NEIGHBOURS)]


def _protocol(
    settings: Score,
    counts: ImageCounts,
    extractor: Extractor,
    reference_hash: str,
    device: torch.device | str,
) -> dict[str, Any]:
    return {
        "name": settings.protocol,
        "rankable": PROTOCOLS[settings.protocol].rankable,
        "extractor": extractor.id,
        "extractor_sha256": extractor.sha256,
        "verified": extractor.verified,
        "layer": extractor.layer,
        "dim": extractor.dim,
        "resize": extractor.resize,
        "reference_split": "train",
        "reference_hash": reference_hash,
        **asdict(counts),
        "k": settings.k,
        "seed": settings.seed,
        "versions": {"python": platform.python_version()} | {p: version(p) for p in PACKAGES},
        "numerics": {"device": torch.device(device).type, "dtype": "float32", "tf32": False},
    }
