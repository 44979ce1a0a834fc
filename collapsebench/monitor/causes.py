"""Why a codebook collapses: evidence -> the cause, in words that every command shares."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from collapsebench import metrics

ENOUGH = 2  # tokens per code below which dead codes say nothing
DOMINANT = 0.5  # share of the tokens
DUPLICATES = 0.01  # share of the codes
RANK = 0.5  # above 1, and at most a tenth of the way to D: data may have few directions
FLAT = 1e-3  # variance over mean square of z_e, or over the largest variance so far
COLLAPSING = 0.5  # a perplexity below this share of its earlier best


@dataclass(frozen=True)
class Evidence:
    """What is known about one codebook; NaN where nothing is.

    Attributes:
        codebook_size: K.
        tokens: of the last window, as are ``verdict``, ``top_share`` and ``dead``.
        verdict: of ``metrics.verdict``.
        top_share: share of the tokens that the most frequent code has.
        dead: number of codes that were not chosen.
        never_chosen: number of codes not chosen since the start.
        far: share of those that are further from every input than twice the distance within which
            nine of ten inputs have a neighbour.
        left_behind: share of the codes chosen before and not now from which the inputs moved
            further than the code itself did.
        moved: the longest way that a code is from its start, ``updates`` ago.
        duplicate_codes: as ``metrics.duplicate_codes``.
        copied_at_start: share of the codes that repeated another one at the start.
        code_dim: D of the inputs.
        z_e_variance: mean over channels; ``z_e_variance_best`` is the largest so far.
        z_e_offset: mean square of the mean, over channels.
        z_e_effective_rank: in [1, D].
    """

    codebook_size: int
    tokens: int
    verdict: str
    top_share: float
    dead: float
    never_chosen: float = math.nan
    far: float = math.nan
    left_behind: float = math.nan
    moved: float = math.nan
    updates: int = 0
    duplicate_codes: float = math.nan
    copied_at_start: float = math.nan
    code_dim: float = math.nan
    z_e_variance: float = math.nan
    z_e_variance_best: float = math.nan
    z_e_offset: float = math.nan
    z_e_effective_rank: float = math.nan

    @property
    def mostly_never(self) -> bool:
        """Whether at least half of the dead codes were never chosen."""
        return self.dead > 0 and 2 * self.never_chosen >= self.dead

    @property
    def near(self) -> bool:
        """Whether one code has most tokens while others are used, or inputs lie among the dead."""
        used = 2 * self.dead < self.codebook_size
        return self.top_share > DOMINANT and (used or self.far < 0.5)

    @property
    def flat(self) -> bool:
        """Whether the inputs hardly vary, by their own size or by what they once did."""
        size = self.z_e_variance + self.z_e_offset
        return self.z_e_variance <= FLAT * size or self.z_e_variance < FLAT * self.z_e_variance_best

    @property
    def thin(self) -> bool:
        """Whether the inputs lie along about one direction."""
        most = min(RANK, 0.1 * (self.code_dim - 1))
        return self.code_dim >= 2 and self.z_e_effective_rank < 1 + most


@dataclass(frozen=True)
class Cause:
    """A cause, and the numbers it rests on."""

    cause: str
    evidence: str


def encoder_collapsed(e: Evidence) -> str:
    """The inputs are all but equal, or lie on a line."""
    if e.flat:
        share = e.z_e_variance / (e.z_e_variance + e.z_e_offset or 1)
        fell = f", {e.z_e_variance / e.z_e_variance_best:.2g} of what it was" * (
            e.z_e_variance < e.z_e_variance_best
        )
        return f"z_e has a variance of {e.z_e_variance:.3g}, {share:.2g} of its square{fell}"
    if e.thin:
        return f"z_e has an effective rank of {e.z_e_effective_rank:.2f} in {e.code_dim:g} channels"
    return ""


def not_trained(e: Evidence) -> str:
    """No code ever moved."""
    still = e.moved == 0 and e.updates > 1  # the first comes before any step
    return f"no code has moved in {e.updates:,} updates" if still else ""


def duplicates(e: Evidence) -> str:
    """Codes that repeat others."""
    if not e.duplicate_codes > DUPLICATES * e.codebook_size:
        return ""
    tolerance = f"{metrics.DUPLICATE_TOLERANCE:g}"
    return (
        f"{e.duplicate_codes:,.0f} of {e.codebook_size:,} codes repeat another one within "
        f"{tolerance} of the largest entry"
    )


def copied(e: Evidence) -> str:
    """Codes that repeat others since the start; averages that decay make dead ones equal later."""
    return "" if e.copied_at_start <= DUPLICATES else duplicates(e)


def bad_start(e: Evidence) -> str:
    """Dead codes that were never chosen."""
    if e.verdict != "collapsed" or not e.mostly_never:
        return ""
    text = f"{e.never_chosen:,.0f} of {e.dead:,.0f} dead codes were never chosen"
    if math.isfinite(e.far):
        text += f"; {100 * e.far:.0f} % of them are far from all inputs"
    return text


def drift(e: Evidence) -> str:
    """Dead codes that were chosen once, until the inputs moved away."""
    if e.verdict != "collapsed" or e.mostly_never or not e.left_behind >= 0.5:
        return ""
    dropped = e.dead - e.never_chosen
    return (
        f"{dropped:,.0f} of {e.dead:,.0f} dead codes were chosen before; from "
        f"{100 * e.left_behind:.0f} % of them the inputs moved further than the code"
    )


def domination(e: Evidence) -> str:
    """One code has most of the tokens."""
    share = f"one code has {100 * e.top_share:.0f} % of all tokens"
    return share if e.top_share > DOMINANT else ""


def too_few_tokens(e: Evidence) -> str:
    """Fewer tokens than dead codes can be told by."""
    counted = math.isfinite(e.dead)
    if not counted or e.tokens >= ENOUGH * e.codebook_size or e.top_share > DOMINANT:
        return ""
    best = 100 * metrics.usage_ceiling(e.tokens, e.codebook_size)
    return (
        f"{e.tokens:,} tokens for {e.codebook_size:,} codes: uniform use would reach "
        f"{best:.1f} % of them"
    )


Rule = Callable[[Evidence], str]
# Cause -> its rule. The first that holds is named, with those of its group that hold, too.
GROUPS: tuple[dict[str, Rule], ...] = (
    {"the encoder collapsed, not the codebook": encoder_collapsed},
    {"not trained": not_trained},
    {"duplicates": copied},
    {"too few tokens to tell": too_few_tokens},
    {"bad start": bad_start, "drift": drift, "domination": domination, "duplicates": duplicates},
)
UNEXPLAINED = "collapsed, and none of the known causes"
CAUSES = (*dict.fromkeys(cause for group in GROUPS for cause in group), UNEXPLAINED)


def findings(e: Evidence) -> list[Cause]:
    """What is wrong with a codebook, the cause first; nothing of a healthy one.

    A cause hides those after it that follow from it: dead codes say nothing where all inputs are
    equal. Only those of the last group can be named together; a domination comes before a start
    that was not far from the inputs.
    """
    for group in GROUPS:
        held = [Cause(cause, text) for cause, rule in group.items() if (text := rule(e))]
        if held:
            return sorted(held, key=lambda one: one.cause != "domination") if e.near else held
    if e.verdict != "collapsed" or math.isnan(e.never_chosen):
        return []
    dead = f"{e.dead:,.0f} of {e.codebook_size:,} codes are dead"
    return [Cause(UNEXPLAINED, dead)]


def collapsing(best: float, step: int, now: float) -> str:
    """What is said while a perplexity falls, "" if it does not: from its best, at which step."""
    if not now < COLLAPSING * best:
        return ""
    return f"collapsing: {best:,.0f} → {now:,.0f} since step {step:,}"
