"""One codebook at one moment: every metric with its ceiling, and what its diagnosis rests on."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from collapsebench import metrics
from collapsebench.metrics import Counts
from collapsebench.monitor import bits
from collapsebench.monitor.causes import Cause, Evidence, findings

UNSURE = "too few tokens to tell"  # of ``metrics.verdict``, where there is no token
INPUTS = ("z_e_variance", "z_e_effective_rank")  # of the evidence, printed with the metrics


@dataclass(frozen=True)
class Reading:
    """One codebook at a ``compute``.

    Attributes:
        values: metric -> value since the last reset, with those of the code vectors.
        ceilings: metric -> what uniform use would give with as many tokens.
        window: metric -> value since the last ``compute``; empty if the codebook had no token.
        window_ceilings: the same for the window.
        evidence: what ``findings`` rest on.
        verdict: ``metrics.verdict`` since the last reset.
        tokens: since the last reset.
        counts: (K,) since the last reset, and ``window_counts``; None of codes that are not
            counted.
    """

    values: dict[str, float]
    ceilings: dict[str, float]
    window: dict[str, float]
    window_ceilings: dict[str, float]
    evidence: Evidence
    verdict: str
    tokens: int
    counts: Counts | None = None
    window_counts: Counts | None = None

    @property
    def findings(self) -> list[Cause]:
        """What is wrong with the codebook, nothing of a healthy one."""
        return findings(self.evidence)

    def flat(self) -> dict[str, float]:
        """Every number by one name: ``usage``, ``usage_ceiling``, ``window/usage``, ..."""
        found = _with_ceilings(self.values, self.ceilings)
        window = _with_ceilings(self.window, self.window_ceilings)
        found |= {f"window/{name}": value for name, value in window.items()}
        found |= {"tokens": float(self.tokens), "window/tokens": float(self.evidence.tokens)}
        inputs = {name: getattr(self.evidence, name) for name in INPUTS}
        return found | {f"window/{n}": v for n, v in inputs.items() if math.isfinite(v)}

    def row(self, codebook: int) -> dict[str, Any]:
        """A row of ``history.SCHEMA``, and what that leaves out."""
        window = {f"window_{name}": value for name, value in self.window.items()}
        return {
            "codebook": codebook,
            "total_tokens": self.tokens,
            **asdict(self.evidence), **self.values, **window,
            "counts": self.counts, "window_counts": self.window_counts,
        }  # fmt: skip


def of_counts(counts: Counts) -> tuple[dict[str, float], dict[str, float]]:
    """The metrics of counts (K,), and their ceilings; nothing where nothing was counted."""
    if not counts.any():
        return {}, {}
    values = metrics.count_metrics(counts)
    values["entropy_chao_shen"] = metrics.entropy_chao_shen(counts)
    best = metrics.ceilings(int(counts.sum()), len(counts))
    return values, best | {"entropy_chao_shen": math.log(len(counts))}


def read(total: Counts, window: Counts, codes: Any, vectors: dict[str, Any]) -> Reading:
    """A ``Reading`` from counts (K,), codes (K, D) or None, and further fields of ``Evidence``."""
    values, best = of_counts(total)
    window_values, window_best = of_counts(window)
    if codes is not None:
        values |= metrics.vector_metrics(codes)
        best = best | {"effective_rank": float(min(codes.shape))}
    n = int(window.sum())
    evidence = Evidence(
        codebook_size=len(total),
        tokens=n,
        verdict=metrics.verdict(window) if n else UNSURE,
        top_share=float(window.max() / n) if n else math.nan,
        dead=float(metrics.dead_codes(window)),
        never_chosen=float(metrics.dead_codes(total)),
        duplicate_codes=values.get("duplicate_codes", math.nan),
        **vectors,
    )
    return Reading(
        values, best, window_values, window_best, evidence,
        metrics.verdict(total) if total.any() else UNSURE, int(total.sum()), total, window,
    )  # fmt: skip


def read_bits(
    codebook_size: int, total: Counts, window: Counts, latest: Any, vectors: dict[str, Any]
) -> Reading:
    """A ``Reading`` of a codebook too large to count, from ``Bits`` and its latest tokens."""
    values, best = bits.bit_metrics(total)
    window_values, window_best = bits.bit_metrics(window)
    covered, covered_best = bits.coverage(latest, codebook_size)
    bound = window_values.get("perplexity_bound", math.inf)
    evidence = Evidence(
        codebook_size, int(window[-1]), bits.verdict(window, bound), math.nan, math.nan, **vectors
    )
    return Reading(
        values, best, window_values | covered, window_best | covered_best, evidence,
        bits.verdict(total, values.get("perplexity_bound", math.inf)), int(total[-1]),
    )  # fmt: skip


def _with_ceilings(values: dict[str, float], ceilings: dict[str, float]) -> dict[str, float]:
    return values | {f"{name}_ceiling": ceilings[name] for name in values if name in ceilings}
