"""Durations and times of day as people write them on a command line."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta

from collapsebench.settings import UserError, shown

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LONGEST_S = 3650 * UNITS["d"]


def seconds(option: str, text: str) -> float:
    """``90m`` -> 5400.0.

    Raises:
        UserError: not a number and a unit.
    """
    parts = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    if not parts:
        raise UserError(f"{option} {shown(text)} must be a number and s, m, h or d, like 90m")
    found = float(parts[1]) * UNITS[parts[2]]
    if not 0 < found <= LONGEST_S:
        raise UserError(f"{option} {shown(text)} must be more than 0s and at most 3650d")
    return found


def deadline(until: str | None, budget: str | None) -> float | None:
    """The earlier of ``--until`` and now + ``--budget``, as ``time.time()``.

    Raises:
        UserError: either is not of its form.
    """
    ends = []
    if budget is not None:
        ends.append(time.time() + seconds("--budget", budget))
    if until is not None:
        ends.append(clock(until))
    return min(ends, default=None)


def clock(text: str) -> float:
    """``09:00`` -> its next occurrence in local time, as ``time.time()``.

    Raises:
        UserError: not a time of day.
    """
    try:
        at = datetime.strptime(text, "%H:%M").time()
    except ValueError:
        raise UserError(f"--until {shown(text)} must be a time like 09:00") from None
    now = datetime.now()
    then = datetime.combine(now.date(), at)
    return (then if then > now else then + timedelta(days=1)).timestamp()
