"""How good the images are: Fréchet distances, precision and recall, and their protocol.

Features and the Fréchet formula are torch-fidelity's, precision and recall prdc's; one pass of the
extractor over each set of images feeds both.

A part is loaded when it is first asked for: torchvision and scikit-learn take seconds.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collapsebench.fidelity.distances import (
        frechet_distance,
        nearest,
        precision_recall,
        statistics,
        unique_fraction,
    )
    from collapsebench.fidelity.extractors import EXTRACTORS, Extractor, features, load_extractor
    from collapsebench.fidelity.scoring import Scored, protocol_id, score
    from collapsebench.fidelity.weights import (
        download_inception,
        hub_weights,
        inception_named,
        inception_weights,
    )

__all__ = [
    "EXTRACTORS",
    "Extractor",
    "Scored",
    "download_inception",
    "features",
    "frechet_distance",
    "hub_weights",
    "inception_named",
    "inception_weights",
    "load_extractor",
    "nearest",
    "precision_recall",
    "protocol_id",
    "score",
    "statistics",
    "unique_fraction",
]


def __getattr__(name: str) -> Any:
    """What ``__all__`` names, from the module that has it."""
    if name in __all__:
        for part in ("weights", "distances", "extractors", "scoring"):
            module = importlib.import_module(f"{__name__}.{part}")
            if name in vars(module):
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
