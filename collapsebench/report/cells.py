"""Groups of seeds -> table cells: measured beside published, with an honest verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from collapsebench import stats
from collapsebench.quantities import Quantity
from collapsebench.report.data import ReportData
from collapsebench.report.group import Group
from collapsebench.report.rows import LOST, Comparison
from collapsebench.report.tables import Cell, Number, Part
from collapsebench.results.baselines import Published, apart

SPREAD = "Mean ± SD over seeds (ddof 1)"
UNFINISHED = ("error", "timeout", "out_of_memory", "cancelled", "interrupted", LOST)
ALIKE = "≈"  # before what can't be told from the best
NOT_MEASURED = "not measured"
NO_SUCH_VALUE = "none"  # of this method, whose jobs are done
OTHER_TRAINING = "other training"


@dataclass(frozen=True)
class Measure:
    """One column of a table of measurements.

    Attributes:
        paper: the quantity's name among the published numbers, "" for none.
        ranked: whether values may be ranked.
        beside: further metrics, part name -> metric, in the same unit, without a verdict.
    """

    comparison: Comparison
    heading: str
    quantity: Quantity
    split: str
    protocol: str = ""
    paper: str = ""
    ranked: bool = True
    beside: Mapping[str, str] = field(default_factory=dict)

    def values(self, group: Group) -> dict[int, float]:
        """Seed -> value, as printed."""
        values = group.values(self.quantity.name, self.split, self.protocol)
        return dict(zip(values, self.quantity.printed(values.values()), strict=True))


def measured_cell(
    data: ReportData,
    group: Group | None,
    measure: Measure,
    standing: stats.Rank | None = None,
) -> Cell:
    """One cell: measured, seeds, what stands beside it, published, difference, verdict, marks.

    ``standing``: among the cells of its column, None where they are not ranked.
    """
    if group is None:
        return Cell({"measured": "–"})
    values = list(measure.values(group).values())
    job, decimals = group.first, measure.quantity.decimals
    paper = data.published(job, measure.paper)
    parts: dict[str, Part] = {"measured": mean(values, decimals) or missing(group)}
    parts["seeds"] = seeds(len(values), len(group.jobs))
    parts |= lent(standing.borrowed if standing else 0.0)
    if group.own_dim:
        parts["code dimension"] = f"D = {group.own_dim}"
    for part, metric in measure.beside.items():
        others = group.values(metric, *_place(measure, part)).values()
        if number := mean(measure.quantity.printed(others), decimals):
            parts[part] = number
    if paper is not None:
        parts |= _against(values, paper, decimals, not apart(job.settings, job.network))
    if note := "; ".join(marks(group)):
        parts["note"] = note
    if len(group.devices) > 1:
        parts["devices"] = "mixed"
    band = (paper.mean - paper.sd, paper.mean + paper.sd) if paper and paper.sd else None
    word = standing.word if standing else ""
    mark = ALIKE if word == stats.CANT_TELL else ""
    return Cell(parts, word == stats.BEST, mark, tuple(values), band, _hover(group, measure))


def _place(measure: Measure, part: str) -> tuple[str, str]:
    return ("test", "") if part == "pooled" else (measure.split, measure.protocol)


def mean(values: Sequence[float], decimals: int) -> Number | None:
    """Mean and sample SD of the seeds; no SD from one, None from none."""
    if not values:
        return None
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Number(float(np.mean(values)), spread, decimals)


def _against(
    values: Sequence[float], paper: Published, decimals: int, same: bool
) -> dict[str, Part]:
    """The published number, the difference from it, and the verdict if one can be given."""
    parts: dict[str, Part] = {"paper": Number(paper.mean, paper.sd, decimals)}
    if paper.note:
        return {"paper": f"{paper.mean:g} ({paper.note})"}
    if values:
        parts["difference"] = Number(
            float(np.mean(values)) - paper.mean, decimals=decimals, signed=True
        )
    parts["verdict"] = verdict(values, paper, same)
    return parts


def verdict(values: Sequence[float], paper: Published, same: bool) -> str:
    """What measured values say about a published one; ``same``: trained as the paper's were."""
    if not values:
        return NOT_MEASURED
    if not same:
        return OTHER_TRAINING
    if paper.sd is None:
        return "no spread in print"
    return stats.verdict_against_paper(values, paper.mean, paper.sd, paper.n_seeds)


def seeds(have: int, want: int) -> str:
    """How many of the seeds have a value: "3", or "1/3" where some are missing."""
    return str(want) if have == want else f"{have}/{want}"


def lent(borrowed: float) -> dict[str, Part]:
    """What tests borrow from other cells' spreads, for a place beside the number of seeds."""
    return {"borrowed": f"+ {borrowed:.1f} df"} if borrowed >= 0.05 else {}


def missing(group: Group) -> str:
    """Why a cell has no value."""
    for status in ("incompatible", "diverged"):
        if group.count(status):
            return f"{status}: {group.reason}" if status == "incompatible" else status
    if group.count("done") == len(group.jobs):
        return group.reason or NO_SUCH_VALUE
    return group.reason if group.count("done") and group.reason else NOT_MEASURED


def marks(group: Group) -> list[str]:
    """What a reader must know beside the number: collapsed, diverged, failed, whose rows."""
    total = len(group.jobs)
    words = [several_codebooks(group)] if group.codebooks > 1 else []
    words += [f"collapsed in {group.collapsed}/{total}"] if group.collapsed else []
    for status in ("diverged", *UNFINISHED):
        count = group.count(status)
        if count and not (status == "diverged" and count == total):
            words.append(f"{status.replace('_', ' ')} in {count}/{total}")
    if group.copies:
        words.append(f"the same training again in {group.copies}/{total}")
    if group.first.baseline:
        words.append(f"from baseline {group.first.baseline}")
    return words


def several_codebooks(group: Group) -> str:
    """How many codebooks stand behind a number, and what they can say."""
    return f"{group.codebooks} codebooks, {group.bits:.4g} bits per position"


def _hover(group: Group, measure: Measure) -> str:
    values = measure.values(group)
    lines = [
        f"seed {seed}: {value:.{measure.quantity.decimals}f}" for seed, value in values.items()
    ]
    jobs = ", ".join(job.job_id for job in group.jobs)
    return "\n".join([*lines, f"jobs {jobs}", *sorted(group.devices)])
