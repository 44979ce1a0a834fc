"""The checks, in the order in which they run; importing this enters them in ``CHECKS``."""

from collapsebench.author.lint.checks import (
    gradients,
    learning,
    losses,
    masks,
    processes,
    revival,
    state,
    tokens,
)
from collapsebench.author.lint.checks.registry import CHECKS, LintCheck

ORDER = (
    state.runs,
    gradients.encoder_gradient,
    learning.codebook_learns,
    losses.commitment,
    losses.beta_side,
    revival.revival,
    revival.revival_threshold,
    state.evaluation,
    tokens.reachable,
    tokens.token_round_trip,
    tokens.decoding,
    losses.loss_scale,
    state.save_load,
    state.side_effects,
    masks.masked,
    processes.two_processes,
)

__all__ = ["CHECKS", "ORDER", "LintCheck", "in_order"]


def in_order() -> list[LintCheck]:
    """Every check, each after those that it rests on."""
    return [CHECKS[function.__name__] for function in ORDER]
