"""What the command line asks lint for; plain data, read without torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from collapsebench.plan.grid import MOST, check_values, parse_value
from collapsebench.settings import UserError

ROLES = ("vectors", "tokens", "loss", "decoder")  # what --outputs may name


@dataclass(frozen=True)
class LintRequest:
    """What the command line says.

    Attributes:
        word: a method's name, FILE.py, FILE.py:Class or package.module:Class.
        given: settings by ``--set``, K and D among them.
        layout, outputs: as ``Wrapped`` has them; empty = found by trying.
    """

    word: str
    given: dict[str, Any] = field(default_factory=dict)
    layout: str = ""
    outputs: dict[str, str] = field(default_factory=dict)


def parse_settings(words: Iterable[str]) -> dict[str, Any]:
    """``dim=16``, ``method.beta=0.5`` -> {"dim": 16, "beta": 0.5}.

    Raises:
        UserError: no equals sign, or a size out of reach.
    """
    found: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name or not equals:
            raise UserError(f"--set {word!r}: write NAME=VALUE, like dim=16")
        found[name.strip().removeprefix("method.")] = parse_value(value)
    for name in MOST.keys() & found.keys():
        check_values(name, [found[name]], "--set")
    return found


def parse_outputs(text: str) -> dict[str, str]:
    """``vectors=0,tokens=2.1,loss=1`` -> role -> place; a decoder is named, not placed.

    Raises:
        UserError: a role that does not exist, or no equals sign.
    """
    found = {}
    for part in filter(None, text.split(",")):
        role, equals, place = (piece.strip() for piece in part.partition("="))
        if role not in ROLES or not equals or not place:
            raise UserError(
                f"--outputs {text!r}: write ROLE=PLACE of {', '.join(ROLES)}, "
                "like vectors=0,tokens=2.1,loss=1"
            )
        found[role] = place
    return found
