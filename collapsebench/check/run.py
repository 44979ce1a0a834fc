"""``collapsebench check``: the wanted levels, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from collapsebench import baselines
from collapsebench.check import level2, level3
from collapsebench.check.verdicts import Finding
from collapsebench.settings import UserError


@dataclass(frozen=True)
class Request:
    """What is held against what.

    Attributes:
        tag: the baseline of level 2.
        grid: of level 3; None = every grid run in ``results``.
        given: a folder of baselines, else ./baselines, then the package's own.
    """

    tag: str
    results: Path
    grid: str | None = None
    given: Path | None = None


def check(levels: Sequence[int], request: Request) -> list[Finding]:
    """Findings of the wanted levels, in their order.

    Raises:
        UserError: no such level, baseline or grid, or a damaged baseline.
    """
    found: list[Finding] = []
    for level in levels:
        if level not in LEVELS:
            raise UserError(f"unknown level {level}; known: {', '.join(map(str, LEVELS))}")
        found += LEVELS[level](request)
    return found


def tensors(request: Request) -> list[Finding]:
    """Level 0; loads torch."""
    from collapsebench.check import level0

    return level0.run(baselines.file(level0.FILE, request.given))


def trajectories(request: Request) -> list[Finding]:
    """Level 1; loads torch."""
    from collapsebench.check import level1

    return level1.run(baselines.file(level1.FILE, request.given))


def frozen_rows(request: Request) -> list[Finding]:
    """Level 2."""
    return level2.run(request.tag, request.results, request.given)


def paper(request: Request) -> list[Finding]:
    """Level 3."""
    return level3.run(request.results, request.grid, request.given)


LEVELS: dict[int, Callable[[Request], list[Finding]]] = {
    0: tensors,
    1: trajectories,
    2: frozen_rows,
    3: paper,
}
