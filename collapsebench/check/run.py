"""``collapsebench check``: the wanted levels, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from collapsebench.check import frozen, paper
from collapsebench.check.verdicts import Finding
from collapsebench.results import baselines
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


def level0(request: Request) -> list[Finding]:
    """Closed forms and every method on fixed tensors; loads torch."""
    from collapsebench.check import tensors

    return tensors.run(baselines.file(tensors.FILE, request.given))


def level1(request: Request) -> list[Finding]:
    """Short trainings and whole jobs against recorded ones; loads torch."""
    from collapsebench.check import jobs, trajectories

    return [
        *trajectories.run(baselines.file(trajectories.FILE, request.given)),
        *jobs.run(baselines.file(jobs.FILE, request.given)),
    ]


def level2(request: Request) -> list[Finding]:
    """Rows against frozen ones."""
    return frozen.run(request.tag, request.results, request.given)


def level3(request: Request) -> list[Finding]:
    """Rows against printed numbers."""
    return paper.run(request.results, request.grid, request.given)


LEVELS: dict[int, Callable[[Request], list[Finding]]] = {
    0: level0,
    1: level1,
    2: level2,
    3: level3,
}
