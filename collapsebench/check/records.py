"""What the code computed when it was recorded, against what it computes now: levels 0 and 1."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from collapsebench.check.verdicts import MISSING, OK, WORSE, Finding
from collapsebench.settings import PIPELINE

REFRESH = "collapsebench freeze --trajectories"


@dataclass(frozen=True)
class Record:
    """The numbers of one subject.

    Attributes:
        implementation: which implementation numbers made them, "method 1, network 1".
        values: name -> float64 array of any shape, or one of strings.
        bump: the number that declares a change, and its file; "" on the recorded side.
        rtol: a tolerance of its own, wider than the level's.
    """

    implementation: str
    values: Mapping[str, np.ndarray]
    bump: str = ""
    rtol: float = 0.0


Records = Mapping[str, Record]


def of_stages(stages: Iterable[str]) -> str:
    """Implementation numbers of stages: "train 1, encode 1"."""
    return ", ".join(f"{stage} {PIPELINE[stage].implementation}" for stage in stages)


def stage_number(stage: str) -> str:
    """Where the number of a stage stands."""
    return f"the implementation of stage {stage!r} in settings.py"


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
        bump = found.bump or f"the implementation of {name}"
        return WORSE, (
            f"{change}; if this is meant, bump {bump} (now {found.implementation}), then {REFRESH}"
        )
    within = max(rtol, found.rtol)
    return OK, f"{sum(v.size for v in found.values.values())} numbers within {within:g}"


def difference(stored: Record, found: Record, rtol: float) -> str:
    """Where the two part first, or ""; numbers below ``rtol`` of an array's largest are noise."""
    for name, new in found.values.items():
        if name not in stored.values:
            return f"{name} is new"
        old = stored.values[name]
        if old.shape != new.shape:
            return f"{name} has shape {new.shape}, was {old.shape}"
        if not (same := close(old, new, max(rtol, found.rtol))).all():
            at = tuple(int(i) for i in np.argwhere(~same)[0])
            return f"{name}[{', '.join(map(str, at))}] is {said(new[at])}, was {said(old[at])}"
    gone = [name for name in stored.values if name not in found.values]
    return f"{gone[0]} is gone" if gone else ""


def close(old: np.ndarray, new: np.ndarray, rtol: float) -> np.ndarray:
    """Element by element: numbers within the tolerance, strings equal."""
    if "U" in (old.dtype.kind, new.dtype.kind):
        return old.astype(str) == new.astype(str)
    scale = float(np.nan_to_num(np.abs(old)).max(initial=0.0))
    return np.isclose(new, old, rtol=rtol, atol=rtol * rtol * scale, equal_nan=True)


def said(value: np.generic) -> str:
    """A value for a message."""
    return repr(str(value)) if value.dtype.kind == "U" else f"{value:.8g}"


def unbumped(stored: Records, found: Records, rtol: float) -> dict[str, str]:
    """Subjects whose numbers changed under the same implementation -> where."""
    return {
        name: change
        for name, record in found.items()
        if name in stored
        and stored[name].implementation == record.implementation
        and (change := difference(stored[name], record, rtol))
    }


def renewed(stored: Records, found: Records) -> dict[str, Record]:
    """``found``, but the stored record where the implementation is the same: no rounding enters."""
    return {
        name: stored[name]
        if name in stored and stored[name].implementation == record.implementation
        else record
        for name, record in found.items()
    }
