"""What the code computed when it was recorded, against what it computes now: levels 0 and 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from collapsebench.check.verdicts import MISSING, OK, WORSE, Finding

REFRESH = "collapsebench freeze --trajectories"


@dataclass(frozen=True)
class Record:
    """The numbers of one subject.

    Attributes:
        implementation: which implementation numbers made them, "method 1, network 1".
        values: name -> float64 array of any shape.
    """

    implementation: str
    values: Mapping[str, np.ndarray]


Records = Mapping[str, Record]


def compare(level: int, stored: Records, found: Records, rtol: float) -> list[Finding]:
    """One finding per subject, in the order of ``found``."""
    return [
        Finding(level, name, *verdict(name, stored.get(name), record, rtol))
        for name, record in found.items()
    ]


def verdict(name: str, stored: Record | None, found: Record, rtol: float) -> tuple[str, str]:
    """(verdict, reason) of one subject."""
    if stored is None:
        return MISSING, f"nothing is recorded for {name}: {REFRESH}"
    if stored.implementation != found.implementation:
        return MISSING, (
            f"recorded with {stored.implementation}, this is {found.implementation}: {REFRESH}"
        )
    if change := difference(stored, found, rtol):
        return WORSE, (
            f"{change}; if this is meant, bump the implementation of {name} (now "
            f"{found.implementation}), then {REFRESH}"
        )
    return OK, f"{sum(v.size for v in found.values.values())} numbers within {rtol:g}"


def difference(stored: Record, found: Record, rtol: float) -> str:
    """Where the two part first, or ""; numbers below ``rtol`` of an array's largest are noise."""
    if set(stored.values) != set(found.values):
        return f"{', '.join(sorted(set(stored.values) ^ set(found.values)))} on one side only"
    for name, new in found.values.items():
        old = stored.values[name]
        if old.shape != new.shape:
            return f"{name} has shape {new.shape}, was {old.shape}"
        scale = float(np.nan_to_num(np.abs(old)).max(initial=0.0))
        same = np.isclose(new, old, rtol=rtol, atol=rtol * rtol * scale, equal_nan=True)
        if not same.all():
            at = tuple(int(i) for i in np.argwhere(~same)[0])
            where = ", ".join(map(str, at))
            return f"{name}[{where}] is {new[at]:.8g}, was {old[at]:.8g}"
    return ""


def unbumped(stored: Records, found: Records, rtol: float) -> dict[str, str]:
    """Subjects whose numbers changed under the same implementation -> where."""
    return {
        name: change
        for name, record in found.items()
        if name in stored
        and stored[name].implementation == record.implementation
        and (change := difference(stored[name], record, rtol))
    }
