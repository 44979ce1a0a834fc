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
    rows = _suspected(rows[np.isfinite(rows["value"])])
    numbers: dict[tuple[str, str, int], set[tuple[str, str, float]]] = defaultdict(set)
    for config, job, seed, *number in rows.itertuples(index=False):
        numbers[config, job, seed].add(tuple(number))
    found: dict[str, str] = {}
    first: dict[Hashable, str] = {}
    for (config, job, seed), values in numbers.items():
        for sign in ((config, seed), (config, frozenset(values))):
            if (other := first.setdefault(sign, job)) != job:
                found.setdefault(job, other)
    return found


def _suspected(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of jobs that may repeat another; all of them together take long to compare."""
    jobs = rows[["config_id", "job_id", "seed"]].drop_duplicates()
    signs = pd.Series(pd.util.hash_array(rows["value"].to_numpy()), rows.index)
    jobs["sign"] = jobs["job_id"].map(signs.groupby(rows["job_id"]).sum())  # in any order
    again = [jobs.duplicated(["config_id", sign], keep=False) for sign in ("seed", "sign")]
    return rows[rows["job_id"].isin(jobs.loc[again[0] | again[1], "job_id"])]
