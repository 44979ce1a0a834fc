"""A monitor's history as what an inspection shows: counts, and their course along training."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from collapsebench import metrics
from collapsebench.inspect.counting import Use
from collapsebench.inspect.tokens import TokenFile
from collapsebench.monitor import history
from collapsebench.settings import UserError

VECTORS = ("effective_rank", "duplicate_codes")


def open_history(path: Path) -> tuple[TokenFile, list[Use]]:
    """The counts since the last reset of each codebook; a history has no positions.

    Raises:
        UserError: no history, or one of codebooks that are too large to count.
    """
    rows = history.read(path)
    if rows[-1]["counts"] is None:
        raise UserError(f"{path}: codebooks too large to count; see: collapsebench diagnose {path}")
    codebooks = sorted({row["codebook"] for row in rows})
    uses = [_use([row for row in rows if row["codebook"] == q]) for q in codebooks]
    tokens = max(int(use.counts.sum()) for use in uses)
    return TokenFile(path, tokens, (), len(uses), lambda n: iter(())), uses


def _use(rows: list[dict[str, Any]]) -> Use:
    last = rows[-1]
    counts, size = np.array(last["counts"]), last["codebook_size"]
    values = metrics.count_metrics(counts)
    values["entropy_chao_shen"] = metrics.entropy_chao_shen(counts)
    values |= {n: last[n] for n in VECTORS if last[n] is not None and math.isfinite(last[n])}
    full = [row for row in rows if row["perplexity"] is not None]
    seen = np.array([row["total_tokens"] for row in full])
    ceilings = [metrics.perplexity_ceiling(int(n), size) for n in seen]
    return Use(
        counts=counts,
        values=values,
        ceilings=metrics.ceilings(int(counts.sum()), size),
        verdict=metrics.verdict(counts),
        position_perplexity=np.array([values["perplexity"]]),
        position_ceiling=ceilings[-1],
        seen=seen,
        seen_perplexity=np.array([row["perplexity"] for row in full]),
        seen_ceiling=np.array(ceilings),
    )
