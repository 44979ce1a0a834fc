"""Which of several codebooks decides, shares in print, and the name a distance may carry there.

"FID" is a claim about one network, one layer and one number of images. Only what meets it gets the
name; every other Fréchet distance prints the extractor it was measured with.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

OF_A_CODEBOOK = {  # metric -> whether larger is better
    "perplexity": True,
    "perplexity_batch_mean": True,
    "relative_perplexity": True,
    "usage": True,
    "unigram_entropy": True,
    "effective_rank": True,
    "dead_codes": False,
    "duplicate_codes": False,
    "collapsed": False,
}

INCEPTION = "inception-v3-compat"
FID_NAMES = {"full": "FID", "quick": "FID_10k"}  # scoring protocol -> name with Inception features
DISTANCES = {"gfd": "{}", "rfd": "r{}", "fd_gap": "{} gap"}


def worst(metric: str, values: Sequence[float]) -> int:
    """Which of several codebooks decides: the index of its worst value, NaN before any other.

    Raises:
        KeyError: a metric that is not of a codebook.
    """
    return int(np.argmin(values) if OF_A_CODEBOOK[metric] else np.argmax(values))


def each(metric: str) -> str:
    """The name of the rows that hold a metric of every one of several codebooks."""
    return f"codebook_{metric}"


def percent(share: float, decimals: int = 1) -> str:
    """0.9487 -> "94.9 %"."""
    return f"{100 * share:.{decimals}f} %"


def metric_label(metric: str, extractor: str, verified: bool, protocol_name: str) -> str:
    """The printed name of a metric of the score stage.

    Args:
        metric: "gfd", "rfd", "fd_gap"; every other metric keeps its name.
        extractor: id of the feature extractor, as recorded with the value.
        verified: whether the hash of its weights was checked against the published one.
        protocol_name: a key of ``settings.PROTOCOLS``.

    Returns:
        "FID" for prior samples, verified Inception weights and the protocol "full"; "FID_10k" with
        "quick"; else "FD[extractor]". Reconstructions get the prefix "r".
    """
    if metric not in DISTANCES:
        return metric
    named = extractor == INCEPTION and verified and protocol_name in FID_NAMES
    return DISTANCES[metric].format(FID_NAMES[protocol_name] if named else f"FD[{extractor}]")
