"""What is kept of the reference images, so that one set of them is read once per extractor.

The cache is keyed by the images themselves and the extractor's hash, never by a dataset's name:
other images under the same name are other statistics.
"""

from __future__ import annotations

import hashlib
import io
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from collapsebench.fidelity.distances import Statistics, statistics
from collapsebench.fidelity.extractors import Extractor
from collapsebench.results.disk import replace_atomically
from collapsebench.results.folder import clear
from collapsebench.settings import digest

Read = Callable[[np.ndarray], np.ndarray]  # images (N, H, W, 3) uint8 -> features (N, F)
ARRAYS = ("mu", "sigma", "features", "indices")
DIGEST_BYTES = 32  # SHA-256 of the file, at its end


@dataclass(frozen=True)
class Reference:
    """The reference images as distances see them.

    Attributes:
        statistics: mean and covariance over ``n_reference`` images.
        features: (n_prdc, F) float32, what precision and recall see.
        indices: (n_prdc,) int64, which images of the split those are.
    """

    statistics: Statistics
    features: np.ndarray
    indices: np.ndarray


def load_reference(
    images: np.ndarray,
    n_reference: int,
    n_prdc: int,
    seed: int,
    extractor: Extractor,
    read: Read,
    cache: Path | None,
) -> Reference:
    """The reference from the cache, or computed by ``read`` and cached.

    Args:
        images: (N, H, W, 3) uint8, the whole split.
        n_reference: images that enter the statistics, at most N; drawn by ``seed`` if fewer.
        n_prdc: images among those whose features are kept, drawn by ``seed``.
        seed: of both draws.
        extractor: part of the key.
        read: computes features; not called when the cache has them.
        cache: folder, made if absent; None to go without. A damaged file in it is replaced.

    Warns:
        UserWarning: a file of the cache is damaged.
    """
    if cache is None:
        return _compute(images, n_reference, n_prdc, seed, read)
    key = {
        "images": hashlib.sha256(np.ascontiguousarray(images).data).hexdigest(),
        "shape": list(images.shape),
        "extractor": [extractor.id, extractor.layer, extractor.sha256],
        "drawn": [n_reference, n_prdc, seed],
    }
    path = cache / f"{digest(key)}.npz"
    clear(cache, [path.name])
    try:
        return _open(path, key)
    except FileNotFoundError:
        pass
    except ValueError as error:
        warnings.warn(f"{path} is damaged and computed anew: {error}", stacklevel=2)
    found = _compute(images, n_reference, n_prdc, seed, read)
    replace_atomically(path, lambda p: _save(p, key, found), lambda p: _open(p, key))
    return found


def _compute(images: np.ndarray, n_reference: int, n_prdc: int, seed: int, read: Read) -> Reference:
    drawn = _draw(len(images), n_reference, seed)
    found = read(images if n_reference == len(images) else images[drawn])
    kept = _draw(n_reference, n_prdc, seed)
    return Reference(statistics(found), found[kept], drawn[kept])


def _draw(n: int, count: int, seed: int) -> np.ndarray:
    return np.sort(np.random.default_rng(seed).permutation(n)[:count])


def _save(path: Path, key: dict[str, Any], reference: Reference) -> None:
    values = (*reference.statistics.values(), reference.features, reference.indices)
    arrays: dict[str, Any] = dict(zip(ARRAYS, values, strict=True))
    buffer = io.BytesIO()
    np.savez(buffer, key=json.dumps(key), **arrays)
    body = buffer.getvalue()
    path.write_bytes(body + hashlib.sha256(body).digest())  # readers of zip files skip the tail


def _open(path: Path, key: dict[str, Any]) -> Reference:
    content = path.read_bytes()
    body, checksum = content[:-DIGEST_BYTES], content[-DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != checksum:
        raise ValueError("its checksum is another")
    with np.load(io.BytesIO(body), allow_pickle=False) as file:
        if str(file["key"]) != json.dumps(key):
            raise ValueError("it holds something else")
        known = {"mu": file["mu"], "sigma": file["sigma"]}
        return Reference(known, file["features"], file["indices"])
