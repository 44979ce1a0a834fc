"""Which failure a codebook has, from a monitor's history: cause, evidence, what to try."""

from __future__ import annotations

import math
import time
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from collapsebench import metrics
from collapsebench.inspect.counting import Use
from collapsebench.inspect.remedies import NO_ROWS, REMEDIES, Effect, Remedy, effects
from collapsebench.monitor import history
from collapsebench.monitor.causes import Cause, Evidence, collapsing, findings
from collapsebench.quantities import percent
from collapsebench.settings import console

HEALTHY = "no diagnosis"
WATCH_S = 1.0


@dataclass(frozen=True)
class Advice:
    """A remedy, and its effects in frozen rows, if there are any."""

    what: str
    effects: list[Effect]

    @property
    def measured(self) -> list[str]:
        """A line per effect, or that there is none."""
        return [effect.words for effect in self.effects] or [NO_ROWS]


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with one codebook.

    Attributes:
        codebook: its index.
        summary: its last window in a line.
        falling: what is said while its perplexity falls, else "".
        findings: the cause first; none of a healthy codebook.
        advice: what to try, in the order of the findings.
        evidence: the numbers behind it.
    """

    codebook: int
    summary: str
    falling: str
    findings: list[Cause]
    advice: list[Advice]
    evidence: Evidence

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; what is not known is null."""
        found = asdict(self)
        found["evidence"] = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in found["evidence"].items()
        }
        return found

    def text(self) -> str:
        """Lines for a terminal."""
        lines = [self.summary, *filter(None, [self.falling])]
        lines += [f"  {one.cause}: {one.evidence}" for one in self.findings]
        for advice in self.advice:
            lines += [f"  try: {advice.what}", *(f"       {one}" for one in advice.measured)]
        return "\n".join(lines if self.findings else [*lines, f"  {HEALTHY}"])


def diagnose(path: Path, given: Path | None = None) -> list[Diagnosis]:
    """The diagnosis of each codebook in a monitor's history.

    Args:
        path: what ``CodebookMonitor(out=...)`` wrote.
        given: a folder of baselines for the effects of remedies, else those found.

    Raises:
        UserError: no such file, or no history.
    """
    rows = history.read(path)
    codebooks = sorted({row["codebook"] for row in rows})
    return [_of_rows([row for row in rows if row["codebook"] == q], q, given) for q in codebooks]


def of_use(use: Use, codebook: int, vectors: dict[str, float]) -> Diagnosis:
    """What tokens alone, and code vectors, say: nothing about training."""
    n, size = int(use.counts.sum()), len(use.counts)
    evidence = Evidence(
        codebook_size=size, tokens=n, verdict=use.verdict, top_share=float(use.counts.max() / n),
        dead=float(metrics.dead_codes(use.counts)),
        duplicate_codes=vectors.get("duplicate_codes", math.nan),
    )  # fmt: skip
    return _diagnosis(codebook, "", "", evidence, None)


def _of_rows(rows: list[dict[str, Any]], codebook: int, given: Path | None) -> Diagnosis:
    last = rows[-1]
    known: dict[str, Any] = {
        f.name: math.nan if last[f.name] is None else last[f.name] for f in fields(Evidence)
    }
    evidence = Evidence(**known)
    summary = (
        f"codebook {codebook}: {_summary(last, evidence)} in the last of {len(rows):,} windows"
    )
    seen = [(row["window_perplexity"] or 0.0, row["updates"]) for row in rows]
    highest, step = max(seen, key=lambda pair: pair[0])
    falling = collapsing(highest, step, last["window_perplexity"] or math.nan)
    return _diagnosis(codebook, summary, falling, evidence, given)


def _summary(last: dict[str, Any], evidence: Evidence) -> str:
    """Verdict and numbers of a window; of bits where codes are not counted."""
    size, tokens = f"{evidence.codebook_size:,}", f"{evidence.tokens:,} tokens"
    if last["window_perplexity_bound"] is not None:
        return (
            f"{evidence.verdict} · perplexity at most {last['window_perplexity_bound']:,.1f} of "
            f"{size} · entropy of a bit {last['window_bit_entropy']:.3f} (uniform "
            f"{math.log(2):.3f}) · {tokens}"
        )
    if last["window_perplexity"] is None:
        return tokens
    best = metrics.perplexity_ceiling(evidence.tokens, evidence.codebook_size)
    return (
        f"{evidence.verdict} · perplexity {last['window_perplexity']:,.1f} of {size} "
        f"(uniform {best:,.1f}) · usage {percent(last['window_usage'])} · {tokens}"
    )


def _diagnosis(
    codebook: int, summary: str, falling: str, evidence: Evidence, given: Path | None
) -> Diagnosis:
    found = findings(evidence)
    remedies: dict[Remedy, None] = {r: None for one in found for r in REMEDIES[one.cause]}
    advice = [Advice(r.what, effects(r, evidence.codebook_size, given)) for r in remedies]
    return Diagnosis(codebook, summary, falling, found, advice, evidence)


def text(found: list[Diagnosis]) -> str:
    """All codebooks, for a terminal."""
    return "\n".join(one.text() for one in found)


def watch(path: Path, given: Path | None = None) -> None:
    """Shows the diagnosis anew whenever the file changes, until Ctrl-C; waits for the file.

    Raises:
        UserError: a file that is no history.
    """
    from rich.live import Live
    from rich.text import Text

    screen, seen = console(), 0
    live = Live(console=screen, auto_refresh=False) if screen.is_terminal else None
    with live or nullcontext(), suppress(KeyboardInterrupt):
        while True:
            changed = path.stat().st_mtime_ns if path.exists() else 0
            if changed != seen:
                seen, lines = changed, text(diagnose(path, given))
                if live is None:
                    print(lines, flush=True)
                else:
                    live.update(Text(lines), refresh=True)
            time.sleep(WATCH_S)
