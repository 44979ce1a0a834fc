"""The checks by name, in the order in which they run: a later one may rest on an earlier."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from collapsebench.author.lint.findings import Verdict
from collapsebench.author.lint.subject import Subject

Function = Callable[[Subject], Verdict]


@dataclass(frozen=True)
class LintCheck:
    """A check.

    Attributes:
        title: what a right quantizer keeps, as one clause.
        right: what it gives, where that is a number or a comparison.
        limit_s: seconds after which the check is given up.
        optional: it tries what a module need not support: an exception is no fault.
    """

    name: str
    title: str
    right: str
    function: Function
    limit_s: float
    optional: bool


CHECKS: dict[str, LintCheck] = {}


def check(
    title: str, right: str, limit_s: float = 15.0, optional: bool = False
) -> Callable[[Function], Function]:
    """Enters the function in ``CHECKS`` under its name."""

    def enter(function: Function) -> Function:
        name = function.__name__
        CHECKS[name] = LintCheck(name, title, right, function, limit_s, optional)
        return function

    return enter
