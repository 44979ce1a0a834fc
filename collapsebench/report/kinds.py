"""Which methods stand together: the user's own, the paper's, modern ones, floors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from collapsebench.report.palette import METHODS
from collapsebench.settings import FLOORS, PAPER_METHODS

NAMES = {  # kind of a method -> heading of its group, in the order of groups
    "user": "Your methods",
    "paper": "The paper’s methods",
    "modern": "Modern methods",
    "floor": "Floors",
}
MOST = 8  # lines of one panel and rows of one table that need no groups


class Member(Protocol):
    """Whatever belongs to a group."""

    @property
    def kind(self) -> str:
        """A key of ``NAMES``."""


Members = TypeVar("Members", bound=Member)


def shipped_kind(method: str) -> str:
    """The group of a method of which only the name is known, and that is not the user's."""
    return "paper" if method in PAPER_METHODS else "floor" if method in FLOORS else "modern"


def place(kind: str, method: str) -> tuple[int, int, str]:
    """What sorts methods: by group, within it in the palette's order, others by name."""
    names = list(METHODS)
    order = names.index(method) if method in METHODS else len(names)
    return list(NAMES).index(kind), order, method


def grouped(members: Sequence[Members]) -> dict[str, list[Members]]:
    """Heading -> members, in the order of groups; a single heading "" for a few, or for one kind.

    Members of no kind are not grouped.
    """
    kinds = [kind for kind in NAMES if any(member.kind == kind for member in members)]
    if len(members) <= MOST or len(kinds) < 2 or any(not member.kind for member in members):
        return {"": list(members)}
    return {NAMES[kind]: [m for m in members if m.kind == kind] for kind in kinds}


def panels(members: Sequence[Members]) -> dict[str, list[Members]]:
    """As ``grouped``, with groups that are too large for one panel cut into even parts."""
    found: dict[str, list[Members]] = {}
    for name, group in grouped(members).items():
        count = -(-len(group) // MOST)
        size = -(-len(group) // count)
        for i in range(count):
            words = name if count == 1 else f"{name} ({i + 1} of {count})".strip()
            found[words] = group[i * size : (i + 1) * size]
    return found
