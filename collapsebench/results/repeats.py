"""Rows that would count one training twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable

import numpy as np
import pandas as pd

COLUMNS = ["config_id", "job_id", "seed", "split", "metric", "value"]


def repeats(metrics: pd.DataFrame) -> dict[str, str]:
    """job_id -> the job of the same configuration that it repeats.

    A job repeats another if it has the same seed, or if encoding gave the same finite numbers to
    the last digit: trainings of two seeds never agree like that, copied files do.
    """
    rows = metrics.loc[metrics["stage"] == "encode", COLUMNS]
    numbers: dict[tuple[str, str, int], set[tuple[str, str, float]]] = defaultdict(set)
    for config, job, seed, *number in rows[np.isfinite(rows["value"])].itertuples(index=False):
        numbers[config, job, seed].add(tuple(number))
    found: dict[str, str] = {}
    first: dict[Hashable, str] = {}
    for (config, job, seed), values in numbers.items():
        for sign in ((config, seed), (config, frozenset(values))):
            if (other := first.setdefault(sign, job)) != job:
                found.setdefault(job, other)
    return found
