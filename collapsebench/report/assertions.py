"""What papers and their code assert of quantizers, and what a grid's rows say of them.

An assertion is of one number, which must reach a bound, or of two cells that differ in one thing:
it says where the first one's number lies as a multiple of the second's. Only cells that agree in
all else are put against each other.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from collapsebench import stats
from collapsebench.report.data import ReportData
from collapsebench.report.group import Group

SUPPORTED, CONTRADICTED = "supported at this scale", "contradicted at this scale"
LEAST, MOST = "the least", "the most"  # of the sizes that the grid has
SIZES = ("codebook_size", "code_dim")
BELIEF = "common belief"

Where = Mapping[str, Any]  # method, sizes and settings of the method -> value, LEAST or MOST


@dataclass(frozen=True)
class Assertion:
    """What somebody says.

    Attributes:
        words: what is said, in a sentence.
        source: who says so, and where.
        printed: the numbers in print, "" for none.
        quantity: a name among the quantities, on the test split.
        a: the cell that it is about.
        b: what it is compared with; empty if it is a number of ``a`` itself.
        least, most: where the number of ``a`` lies if it holds, as a multiple of that of
            ``b`` if there is one.
    """

    words: str
    source: str
    printed: str
    quantity: str
    a: Where
    b: Where = field(default_factory=dict)
    least: float = 0.0
    most: float = math.inf

    @property
    def varied(self) -> set[str]:
        """What ``a`` and ``b`` differ in."""
        return {name for name in {*self.a, *self.b} if self.b and self.a.get(name) != self.b[name]}

    def verdict(self, low: float, high: float) -> str:
        """What an interval says of it; NaN for none.

        An assertion of more or of less is contradicted, too, by what is shown to be the same.
        """
        if self.least <= low and high <= self.most:
            return SUPPORTED
        one = low > 1 / (1 + stats.MARGIN) and high < 1 + stats.MARGIN
        same = one and 1 in (self.least, self.most)
        return CONTRADICTED if same or high < self.least or low > self.most else stats.CANT_TELL


ALL_CODES, NEARLY_ALL = 0.99, 0.95  # of the codes: the usage that such words ask for
FLAT = 1.2  # the ratio that the flattest perplexities in print have among them
RESET, PLAIN, SPHERE, IBQ = "vq_reset", "vq_vae", "cosine_vq", "ibq"
FANG = "Fang et al. 2026, result files of the official code"
SUN = "Sun et al. 2024, ablation"
SHI = "Shi et al. 2024, docs/IBQ.md of the official code"

ASSERTIONS = (
    Assertion("VQ-VAE: perplexity does not grow with the codebook size", FANG,
              "446, 435, 527 at K = 1024, 4096, 16384", "perplexity",
              {"method": PLAIN, "codebook_size": MOST}, {"method": PLAIN, "codebook_size": LEAST},
              1 / FLAT, FLAT),
    Assertion("CVQ-VAE uses all codes", "Zheng and Vedaldi 2023, README", "100 %", "usage",
              {"method": "cvq_vae"}, least=ALL_CODES),
    Assertion("SimVQ uses all codes", "Zhu et al. 2025, Table 1", "100 %", "usage",
              {"method": "sim_vq"}, least=ALL_CODES),
    Assertion("SimVQ: its bias is a part of the effect on usage",
              "the paper has none, its code has", "", "usage",
              {"method": "sim_vq", "bias": True}, {"method": "sim_vq", "bias": False},
              least=1),
    Assertion("FSQ uses nearly all codes without tricks", "Mentzer et al. 2024", "≈ 100 %", "usage",
              {"method": "fsq"}, least=NEARLY_ALL),
    Assertion("The rotation raises usage under an equal rule for the codebook", "Fifty et al. 2025",
              "", "usage", {"method": "rotation_vq", "estimator": "rotation"},
              {"method": "rotation_vq", "estimator": "straight_through"}, least=1),
    Assertion("Few dimensions raise usage: on the sphere", SUN, "97 %, 0.29 % at D = 8, 256",
              "usage",
              {"method": SPHERE, "code_dim": LEAST}, {"method": SPHERE, "code_dim": MOST}, least=1),
    Assertion("Few dimensions raise usage: off the sphere", BELIEF, "", "usage",
              {"method": PLAIN, "code_dim": LEAST}, {"method": PLAIN, "code_dim": MOST}, least=1),
    Assertion("The sphere raises usage at equal dimension", BELIEF, "", "usage",
              {"method": SPHERE}, {"method": PLAIN}, least=1),
    Assertion("IBQ: usage falls as the codebook grows", SHI, "99 %, 84 % at K = 1024, 262144",
              "usage", {"method": IBQ, "codebook_size": MOST},
              {"method": IBQ, "codebook_size": LEAST}, most=1),
    Assertion("IBQ: usage falls as the dimension grows", "public issues of the official code", "",
              "usage", {"method": IBQ, "code_dim": MOST},
              {"method": IBQ, "code_dim": LEAST}, most=1),
    Assertion("IBQ needs its entropy term", SHI, "", "usage",
              {"method": IBQ, "entropy": 0.05}, {"method": IBQ, "entropy": 0.0}, least=1),
    Assertion("Codes found by clustering afterwards rebuild worse than trained ones", BELIEF, "",
              "mse", {"method": "kmeans"}, {"method": RESET}, least=1),
    Assertion("Putting unused codes back raises perplexity", BELIEF, "", "perplexity",
              {"method": RESET, "threshold": 1.0}, {"method": RESET, "threshold": 0.0}, least=1),
    Assertion("Putting unused codes back lowers the error", BELIEF, "", "mse",
              {"method": RESET, "threshold": 1.0}, {"method": RESET, "threshold": 0.0}, most=1),
)  # fmt: skip


@dataclass(frozen=True)
class Judged:
    """An assertion about two cells, or one, that the grid has.

    Attributes:
        a, b: the cells; ``b`` is None for a number of ``a`` itself.
        low, high: the interval of the number or of the ratio, NaN where there is none.
        why: why there is none, "" if there is.
    """

    assertion: Assertion
    a: Group
    b: Group | None
    low: float = math.nan
    high: float = math.nan
    why: str = ""

    @property
    def verdict(self) -> str:
        """``SUPPORTED``, ``CONTRADICTED`` or "can't tell"."""
        return self.assertion.verdict(self.low, self.high)

    def values(self, group: Group) -> list[float]:
        """What a cell's seeds have of the quantity."""
        return list(group.values(self.assertion.quantity, "test").values())


def judged(data: ReportData) -> list[Judged]:
    """Every assertion for which there are cells with values, in the order of ``ASSERTIONS``.

    Ratios are tested on logarithms, with the spreads of all cells of the grid. Each assertion was
    made before these rows were, and is a question of its own: intervals are at 95 % for all cells
    that one is asked of together (Bonferroni).
    """
    cells = [group for *_, group in data.cells() if not group.first.baseline]
    asked = [Judged(said, *pair) for said in ASSERTIONS for pair in pairs(said, cells)]
    asked = [one for one in asked if one.values(one.a) and (not one.b or one.values(one.b))]
    lines = Counter(one.assertion.words for one in asked)
    logs = {name: _logs(cells, name) for name in {one.assertion.quantity for one in asked if one.b}}

    def answered(one: Judged) -> Judged:
        level = 1 - stats.ALPHA / lines[one.assertion.words]
        if one.b:
            return _against(one, one.b, logs[one.assertion.quantity], level)
        return _alone(one, level)

    return [answered(one) for one in asked]


def _logs(cells: Sequence[Group], quantity: str) -> dict[Group, tuple[float, stats.Spread]]:
    """Mean and spread of the logarithms of each cell that has two values, all above 0."""
    values = {group: list(group.values(quantity, "test").values()) for group in cells}
    logs = {g: np.log(v) for g, v in values.items() if len(v) > 1 and min(v) > 0}
    spread = stats.spreads_of(list(logs.values()))
    return {group: (float(np.mean(v)), spread.at(i)) for i, (group, v) in enumerate(logs.items())}


def _against(
    one: Judged, b: Group, logs: Mapping[Group, tuple[float, stats.Spread]], level: float
) -> Judged:
    if why := stats.why_untested(one.values(one.a), one.values(b)):
        return replace(one, why=why)
    (mean_a, spread_a), (mean_b, spread_b) = logs[one.a], logs[b]
    test = stats.difference(mean_a - mean_b, spread_a, spread_b)
    if test.standard_error == 0:
        return replace(one, why=stats.NO_SPREAD)
    with np.errstate(over="ignore"):
        low, high = np.exp(test.interval(level))
    return replace(one, low=float(low), high=float(high))


def _alone(one: Judged, level: float) -> Judged:
    """The t-interval of a share, of which no more than all is possible."""
    low, high = stats.mean_interval(one.values(one.a), level)
    why = stats.ONE_SEED if math.isnan(low) else ""
    return replace(one, low=max(low, 0.0), high=min(high, 1.0), why=why)


def pairs(assertion: Assertion, cells: Sequence[Group]) -> Iterator[tuple[Group, Group | None]]:
    """The cells that it is about: a and b, or a alone, alike in all that it does not vary."""
    of_a = _alike(assertion, assertion.a, cells)
    if not assertion.b:
        yield from ((group, None) for groups in of_a.values() for group in groups)
        return
    of_b = _alike(assertion, assertion.b, cells)
    for key, groups in of_a.items():
        a, b = _chosen(assertion.a, groups), _chosen(assertion.b, of_b.get(key, []))
        if a and b and a is not b:
            yield a, b


def _alike(assertion: Assertion, where: Where, cells: Sequence[Group]) -> dict[str, list[Group]]:
    """What cells of one side share -> these cells."""
    found: dict[str, list[Group]] = defaultdict(list)
    for group in cells:
        if all(_value(group, n) == v for n, v in where.items() if v not in (LEAST, MOST)):
            of_one = assertion.b and "method" not in assertion.varied
            if of_one or not group.first.settings_label:  # with default settings, else
                found[_shared(group, assertion.varied)].append(group)
    return found


def _value(group: Group, name: str) -> Any:
    job = group.first
    if name in ("method", "codebook_size"):
        return getattr(job, name)
    return group.code_dim if name == "code_dim" else job.setting("method", name)


def _shared(group: Group, varied: set[str]) -> str:
    """All that decides a cell but what is varied and, of two methods, their own settings."""
    job = group.first
    settings = {name: dict(values) for name, values in job.settings.items()}
    own = settings.pop("method", {})
    if "method" not in varied:
        settings["method"] = {name: own[name] for name in own if name not in varied}
    sizes = {name: _value(group, name) for name in SIZES if name not in varied}
    parts = [job.dataset, job.network, job.scale, job.made_of, sizes, settings]
    return json.dumps(parts, sort_keys=True, default=str)


def _chosen(where: Where, groups: Sequence[Group]) -> Group | None:
    """The one cell of a side; of several sizes the least or the most."""
    asked = [name for name in SIZES if where.get(name) in (LEAST, MOST)]
    if not asked:
        return groups[0] if len(groups) == 1 else None
    sizes = {_value(group, asked[0]): group for group in groups}
    if len(sizes) < 2:
        return None
    return sizes[min(sizes) if where[asked[0]] == LEAST else max(sizes)]
