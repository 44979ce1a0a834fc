"""The five words of a check, and what follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from collapsebench import stats

OK = "ok"
BETTER = stats.BETTER
WORSE = stats.WORSE
UNSURE = stats.CANT_TELL
MISSING = "nothing measured"

EXIT_CODES = {WORSE: 1, MISSING: 4, UNSURE: 3, BETTER: 0, OK: 0}  # the weightiest first
FAIL_ON = ("unsure", "worse")


@dataclass(frozen=True)
class Finding:
    """What a check says about one subject.

    Attributes:
        level: 0 to 3.
        subject: "edvae", or "EdVAE · digits · 32×8 · perplexity".
        text: the reason in plain words.
        values: the numbers behind it, for scripts.
    """

    level: int
    subject: str
    verdict: str
    text: str
    values: dict[str, Any] = field(default_factory=dict)


def overall(findings: Sequence[Finding]) -> str:
    """The weightiest verdict; nothing found is nothing measured."""
    found = {finding.verdict for finding in findings} or {MISSING}
    return next(verdict for verdict in EXIT_CODES if verdict in found)


def exit_code(findings: Sequence[Finding], fail_on: str) -> int:
    """That of the weightiest verdict; ``fail_on="worse"`` forgives can't tell."""
    verdict = overall(findings)
    return 0 if verdict == UNSURE and fail_on == "worse" else EXIT_CODES[verdict]
