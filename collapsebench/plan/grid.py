"""TOML -> Grid -> points: which configurations a grid asks for, in plain data, without torch."""

from __future__ import annotations

import itertools
import json
import math
import operator
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from collapsebench.plan import document
from collapsebench.plan.document import ScaleTable
from collapsebench.plan.toml import parse_toml, read_toml
from collapsebench.settings import (
    GROUPS,
    STAGES,
    UserError,
    ancestors,
    did_you_mean,
    shown,
)

FOLDER = Path(__file__).parent / "grids"
SEEDS = (42, 1773, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)  # the paper's three, then fixed others
COORDINATES = ("method", "network", "dataset", "codebook_size", "code_dim")
MOST = {"codebook_size": 2**24, "code_dim": 2**16}
MOST_JOBS = 500_000  # of a grid: more fill the memory before the first begins
SEED_END = 2**32  # numpy's generators take no larger seed
A_SEED = "whole numbers >= 0 and below 2**32"


@dataclass(frozen=True)
class Point:
    """One training that a grid asks for; settings are what differs from the defaults.

    Attributes:
        network: a family, or "" for the method's own.
        settings: dotted name -> value, "train.steps", "method.beta", "edvae.beta", "dalle.width".
        chosen: the names in ``settings`` that an axis or a user chose; they label the cell.
    """

    method: str
    network: str
    dataset: str
    codebook_size: int
    code_dim: int
    seed: int
    settings: dict[str, Any] = field(default_factory=dict)
    chosen: tuple[str, ...] = ()


@dataclass(frozen=True)
class Grid:
    """A validated grid; see the shipped files in ``grids/`` for the format.

    Attributes:
        axes: coordinate or dotted setting -> values; their product is the grid.
        seeds: replicates, never an axis.
        overrides: (when, set) pairs; a later one wins.
        settings: dotted settings for all points.
        scale: name of the scale that was applied, and ``note``: what its numbers can't tell.
        word: what stands for it on the command line.
    """

    name: str
    title: str
    reproduces: tuple[str, ...]
    stages: tuple[str, ...]
    axes: dict[str, list[Any]]
    seeds: tuple[int, ...]
    settings: dict[str, Any]
    overrides: tuple[tuple[dict[str, Any], dict[str, Any]], ...]
    excludes: tuple[dict[str, Any], ...]
    scale: str = "paper"
    note: str = ""
    word: str = ""

    def points(self) -> list[Point]:
        """Breadth first: every cell at the first seed, then the next seed.

        Raises:
            UserError: more points than ``MOST_JOBS``, before rules leave any of them out.
        """
        asked = math.prod(map(len, self.axes.values())) * len(self.seeds)
        if asked > MOST_JOBS:
            raise UserError(f"grid {self.name!r} asks for {asked:,} jobs; at most {MOST_JOBS:,}")
        cells = [
            dict(zip(self.axes, values, strict=True))
            for values in itertools.product(*self.axes.values())
        ]
        cells = [c for c in cells if not any(matches(rule, c) for rule in self.excludes)]
        return [self._point(cell, seed) for seed in self.seeds for cell in cells]

    def _point(self, cell: dict[str, Any], seed: int) -> Point:
        settings = dict(self.settings)
        for when, values in self.overrides:
            if matches(when, cell):
                settings |= values
        chosen = {key: value for key, value in cell.items() if key not in COORDINATES}
        coordinates = {key: cell.get(key, "") for key in COORDINATES}
        return Point(**coordinates, seed=seed, settings=settings | chosen, chosen=tuple(chosen))


def matches(rule: Mapping[str, Any], cell: Mapping[str, Any]) -> bool:
    """True if every key of the rule has the cell's value, or one of a list of values."""
    return all(
        cell.get(key) in value if isinstance(value, list) else cell.get(key) == value
        for key, value in rule.items()
    )


def names() -> list[str]:
    """The shipped grids."""
    return sorted(path.stem for path in FOLDER.glob("[!_]*.toml"))


def load(word: str, scale: str | None = None) -> Grid:
    """A shipped grid by name or a file by path, at one of its scales.

    Raises:
        UserError: unknown name, unreadable TOML, unknown key or scale, wrong kind of value.
    """
    if not word.endswith(".toml") and word not in names():
        raise UserError(f"unknown grid {shown(word)}{did_you_mean(word, names())}")
    path = Path(word) if word.endswith(".toml") else FOLDER / f"{word}.toml"
    if not path.is_file():
        raise UserError(f"no such grid file: {word}")
    return replace(parse(read_toml(path), path.stem, scale), word=word)


def parse(content: Mapping[str, Any], name: str, scale: str | None = None) -> Grid:
    """A Grid from parsed TOML; ``name`` is used where the file gives none."""
    read = document.read({"name": name} | dict(content), f"grid {shown(content.get('name', name))}")
    where = f"grid {read.name!r}"
    settings = {f"{group}.{key}": v for group in GROUPS for key, v in getattr(read, group).items()}
    for key in settings:
        check_setting(key, where)
    grid = Grid(
        name=read.name,
        title=read.title or read.name,
        reproduces=tuple(read.reproduces),
        stages=_stages(read.stages, where),
        axes=_axes(read.axes, where),
        seeds=_seeds(read.replicates.seed, where),
        settings=settings,
        overrides=tuple(_override(rule, where) for rule in read.override),
        excludes=tuple(_rule(rule, where) for rule in read.exclude),
    )
    return at_scale(grid, read.scale, scale or read.default_scale)


def at_scale(grid: Grid, own: Mapping[str, ScaleTable], scale: str | None) -> Grid:
    """The grid at one of its scales; "paper" is the file as it stands unless it defines one."""
    path = FOLDER / "_scales.toml"
    shared = document.scales(read_toml(path), path.name)
    chosen = scale or "paper"
    if chosen not in {*shared, *own}:
        known = did_you_mean(chosen, {*shared, *own})
        raise UserError(f"grid {grid.name!r} has no scale {shown(chosen)}{known}")
    where = f"scale {chosen!r}"
    tables = [scales[chosen] for scales in (shared, own) if chosen in scales]
    given = {key: v for t in tables for key, v in t.model_dump(exclude_unset=True).items()}
    overrides = tuple(_override(rule, where) for rule in given.pop("override", []))
    note, seeds, stages = (given.pop(k, None) for k in ("note", "replicates.seed", "stages"))
    axes = {k.removeprefix("axes."): given.pop(k) for k in list(given) if k.startswith("axes.")}
    for key in given:
        check_setting(key, where)
    return replace(
        grid,
        axes=grid.axes | _axes(axes, where, required=()),
        seeds=grid.seeds if seeds is None else _seeds(seeds, where),
        stages=grid.stages if stages is None else _stages(stages, where),
        settings=grid.settings | given,
        overrides=grid.overrides + overrides,
        scale=chosen,
        note=note or "",
    )


def with_overrides(
    grid: Grid,
    *,
    axes: Mapping[str, Sequence[Any]] | None = None,
    seeds: Sequence[int] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Grid:
    """What a user said on the command line: whole axes, seeds, single settings.

    A setting of a method or network labels its cells, as an axis of one value; one of the shared
    stages holds for all cells alike.
    """
    settings = settings or {}
    for key in settings:
        check_setting(key, "--set")
    shared = {key: value for key, value in settings.items() if key.partition(".")[0] in GROUPS}
    chosen = {key: [value] for key, value in settings.items() if key not in shared}
    return replace(
        grid,
        axes=grid.axes | {k: list(v) for k, v in (axes or {}).items() if v} | chosen,
        seeds=tuple(seeds) if seeds else grid.seeds,
        overrides=(*grid.overrides, ({}, shared)),
        note=_departs(grid, settings) or grid.note,
    )


def _departs(grid: Grid, settings: Mapping[str, Any]) -> str:
    """In place of a scale's note: which settings that decide its results are not as it has them."""
    differs = []
    for key, value in settings.items():
        group, _, name = key.partition(".")
        known = GROUPS[group].__dataclass_fields__ if group in GROUPS else {}  # type: ignore[attr-defined]
        if name in known and not known[name].metadata.get("id", True):
            continue
        usual = grid.settings.get(key, known[name].default if name in known else value)
        if value != usual:
            differs.append(f"{key} is {value}, not {usual}")
    said = "What is known of this scale does not hold of these rows"
    return f"{said}: {'; '.join(differs)}." if differs else ""


def check_setting(key: str, where: str) -> None:
    """Refuses a dotted name whose shape or shared group is unknown (methods are checked later)."""
    group, dot, name = key.partition(".")
    if not dot:
        raise UserError(
            f"{where}: {shown(key)} is not a setting; write group.name, like train.steps"
        )
    if group in GROUPS:
        fields = GROUPS[group].__dataclass_fields__  # type: ignore[attr-defined]
        if name not in fields:
            raise UserError(f"{where}: unknown setting {shown(key)}{did_you_mean(name, fields)}")


def _axes(
    axes: Mapping[str, Any],
    where: str,
    required: Sequence[str] = ("method", "dataset", "codebook_size", "code_dim"),
) -> dict[str, list[Any]]:
    for key in required:
        if key not in axes:
            raise UserError(f"{where}: [axes] lacks {key!r}")
    for key, values in axes.items():
        if "." in key:
            check_setting(key, f"{where}, [axes]")
        elif key not in COORDINATES:
            raise UserError(f"{where}: unknown axis {shown(key)}{did_you_mean(key, COORDINATES)}")
        if not isinstance(values, list) or not values:
            raise UserError(f"{where}: axis {key!r} must be a non-empty list, not {shown(values)}")
        check_values(key, values, where)
    return {key: list(values) for key, values in axes.items()}


def check_values(key: str, values: Sequence[Any], where: str) -> None:
    """Refuses what a coordinate cannot be: a name that is no text, a size out of reach."""
    for value in values:
        most = MOST.get(key)
        if most and (type(value) is not int or not 1 <= value <= most):
            raise UserError(
                f"{where}: {key} must be a positive whole number up to {most:,}, not {shown(value)}"
            )
        if key in ("method", "network", "dataset") and not isinstance(value, str):
            raise UserError(f"{where}: {key} must be a name, not {shown(value)}")


def _seeds(seeds: Any, where: str) -> tuple[int, ...]:
    if seeds is None:
        return SEEDS[:3]
    if not isinstance(seeds, list) or not seeds:
        raise UserError(
            f"{where}: [replicates] seed must be a list of {A_SEED}, not {shown(seeds)}"
        )
    check_seeds(seeds, f"{where}: [replicates] seed must be a list of")
    return tuple(seeds)


def check_seeds(seeds: Sequence[Any], where: str) -> None:
    """Refuses what the generators of a job cannot be seeded with."""
    for seed in seeds:
        if type(seed) is not int or not 0 <= seed < SEED_END:
            raise UserError(f"{where} {A_SEED}, not {shown(seed)}")


def _stages(stages: Sequence[str], where: str) -> tuple[str, ...]:
    if not stages:
        raise UserError(f"{where}: stages must be a list like ['train', 'encode'], not {stages!r}")
    for stage in stages:
        if stage not in STAGES:
            raise UserError(f"{where}: unknown stage {shown(stage)}{did_you_mean(stage, STAGES)}")
        if missing := [s for s in ancestors(stage) if s not in stages]:
            raise UserError(f"{where}: stage {stage!r} needs {', '.join(missing)} before it")
    return tuple(stage for stage in STAGES if stage in stages)


def _rule(rule: Mapping[str, Any], where: str) -> dict[str, Any]:
    for key, value in rule.items():
        if key not in COORDINATES and "." not in key:
            raise UserError(
                f"{where}: unknown axis {shown(key)} in a rule{did_you_mean(key, COORDINATES)}"
            )
        if "." in key:
            check_setting(key, f"{where}, a rule")
        else:
            check_values(key, value if isinstance(value, list) else [value], f"{where}, a rule")
    return dict(rule)


def _override(rule: Mapping[str, Any], where: str) -> tuple[dict[str, Any], dict[str, Any]]:
    if set(rule) != {"when", "set"}:
        raise UserError(
            f"{where}: an [[override]] has exactly 'when' and 'set', not {shown(sorted(rule))}"
        )
    for key in rule["set"]:
        check_setting(key, f"{where}, [[override]]")
    return _rule(rule["when"], where), dict(rule["set"])


def parse_value(text: str) -> Any:
    """A value as TOML writes it; a bare word is a string."""
    try:
        [value] = parse_toml(f"v = {text}").values()
        json.dumps(value)
    except (ValueError, TypeError, RecursionError):  # no TOML, a date, thousands of brackets
        return text
    return value


OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, ">=": operator.ge, "<=": operator.le,
    ">": operator.gt, "<": operator.lt, "=": operator.eq,
}  # fmt: skip
_COMPARISON = re.compile(r"^\s*([\w.]+)\s*(==|!=|>=|<=|=|>|<)\s*['\"]?([^'\"=<>!]*?)['\"]?\s*$")


def only(points: Sequence[Point], expression: str) -> list[Point]:
    """Points for which comparisons joined by ``and`` / ``or`` hold: "code_dim=16 and seed<3".

    Raises:
        UserError: not a comparison, or an unknown name.
    """
    settings = {name for point in points for name in point.settings}
    clauses = [
        [_comparison(part, settings) for part in clause.split(" and ")]
        for clause in expression.split(" or ")
    ]
    return [p for p in points if any(all(test(p) for test in clause) for clause in clauses)]


def _comparison(text: str, settings: Collection[str]) -> Callable[[Point], bool]:
    found = _COMPARISON.match(text)
    if not found:
        raise UserError(
            f"--only: {shown(text.strip())} is not a comparison like codebook_size>=1024"
        )
    name, symbol, value = found.groups()
    known = (*COORDINATES, "seed")
    if name not in known and name not in settings:
        hint = did_you_mean(name, {*known, *settings} if "." in name else known)
        raise UserError(f"--only: unknown name {shown(name)}{hint}")
    wanted = parse_value(value)

    def test(point: Point) -> bool:
        actual = getattr(point, name) if name in known else point.settings.get(name)
        try:
            return bool(OPERATORS[symbol](actual, wanted))
        except TypeError:
            said = f"{name} ({shown(actual)}) with {shown(wanted)}"
            raise UserError(f"--only: cannot compare {said}") from None

    return test
