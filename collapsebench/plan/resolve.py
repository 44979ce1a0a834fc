"""Points of a grid -> jobs: every default spelled out, and the ids that follow from it.

A job is one training, as plain data. ``job_id`` hashes everything that decides the trained model;
``config_id`` the same without the seed (one table cell); ``comparison_id`` without the method, its
settings and the seed (rows may share a table only if it is equal). Stages are children: the id of
each is a hash of its parent's id and its own settings.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from collapsebench.datasets import data_root
from collapsebench.plan import declared, registry
from collapsebench.plan.grid import Grid, Point
from collapsebench.plan.job import Job
from collapsebench.plan.registry import dataset, method_class, network_module
from collapsebench.settings import (
    GROUPS,
    PIPELINE,
    PROTOCOLS,
    STAGES,
    UserError,
    build,
    did_you_mean,
    digest,
    few,
    identity,
    plain,
    printable,
    shown,
)


def jobs(grid: Grid, points: Iterable[Point], root: Path | None = None) -> list[Job]:
    """One job per point, in the points' order; equal configurations appear once, as the first.

    Where a method ties the code dimension to the codebook size, all points of a size are equal.

    Raises:
        UserError: as ``resolve``, or two user files of one name and label.
    """
    found: dict[str, Job] = {}
    place = data_root(root)
    for point in points:
        job = _job(point, grid.stages, grid.scale, place)
        found.setdefault(job.job_id, job)
    return _told_apart(list(found.values()))


def check_rules(grid: Grid) -> None:
    """Refuses rules for a method, network or dataset that nobody has: they would never hold."""
    rules = [*grid.excludes, *(when for when, _ in grid.overrides)]
    kinds: dict[str, registry.Kind] = {
        "method": "methods", "network": "networks", "dataset": "datasets"
    }  # fmt: skip
    for key, kind in kinds.items():
        known = {*registry.names(kind), *grid.axes.get(key, ())}
        for value in (rule[key] for rule in rules if key in rule):
            for word in value if isinstance(value, list) else [value]:
                if word not in known and not word.endswith(".py") and ":" not in word:
                    hint = did_you_mean(word, known)
                    raise UserError(
                        f"grid {grid.name!r}, a rule: unknown {key} {shown(word)}{hint}"
                    )


def _told_apart(found: list[Job]) -> list[Job]:
    """Jobs of user methods that share a printed name with others, their file's name behind it."""
    methods: dict[str, dict[str, str]] = {}  # label -> where a method's code is -> its name
    for job in found:
        methods.setdefault(job.label, {})[job.files.get("method", job.method)] = job.method
    shared = {label: names for label, names in methods.items() if len(names) > 1}
    for label, names in shared.items():
        if len(set(names.values())) < len(names):
            raise UserError(
                f"{len(names)} methods are called {label!r}, and their files alike: "
                f"{few(names)}; rename one file, or give it a label of its own"
            )
    return [
        replace(job, label=f"{job.label} ({job.method})")
        if job.label in shared and job.kind == "user"
        else job
        for job in found
    ]


def resolve(point: Point, stages: Iterable[str], scale: str, root: Path | None = None) -> Job:
    """A point with every default spelled out, and its ids.

    Raises:
        UserError: unknown method, network, dataset or setting, or a value its type refuses.
    """
    return _job(point, tuple(stages), scale, data_root(root))


def _job(point: Point, stages: tuple[str, ...], scale: str, root: Path) -> Job:
    found = _resolved(Wish.of(point, str(root)))
    cell = _cell(found, point.codebook_size, point.code_dim)
    job_id = digest(cell.config | {"seed": point.seed})
    return Job(
        job_id=job_id,
        config_id=cell.config_id,
        comparison_id=cell.comparison_id,
        stage_ids=_stage_ids(job_id, found.parts, stages),
        codebook_size=point.codebook_size,
        code_dim=cell.code_dim,
        seed=point.seed,
        scale=scale,
        **found.columns,
    )


@dataclass(frozen=True)
class Wish:
    """What a point asks for but its sizes and seed; most points of a grid share a few of these.

    Attributes:
        settings: those of the point, compared by ``text``: lists have no hash, and 1 is not 1.0.
        edited: when the files given by path were last changed: an edited file is another wish.
    """

    method: str
    network: str
    dataset: str
    settings: Mapping[str, Any] = field(compare=False)
    text: str
    chosen: tuple[str, ...]
    root: str
    edited: tuple[int, ...]

    @classmethod
    def of(cls, point: Point, root: str) -> Wish:
        """The wish of a point, its datasets below ``root``."""
        words = (point.method, point.network, point.dataset)
        files = [
            Path(os.path.expanduser(word))
            for word in words
            if word.endswith(".py") and word.isprintable()
        ]
        edited = tuple(file.stat().st_mtime_ns for file in files if file.is_file())
        return cls(*words, point.settings, json.dumps(point.settings), point.chosen, root, edited)


@dataclass(frozen=True, eq=False)
class Resolved:
    """What the names and settings of a point stand for, whatever its sizes and seed.

    Attributes:
        columns: fields of the job.
        config: what its config_id hashes beside the sizes, and ``comparison`` its comparison_id.
        parts: stage -> what its id hashes beside its parent's id.
        dim_for: codebook size -> the code dimension that the method ties to it; None = free.
    """

    columns: dict[str, Any]
    config: dict[str, Any]
    comparison: dict[str, Any]
    parts: dict[str, list[Any]]
    dim_for: Callable[[int], int | None]


@dataclass(frozen=True)
class Configuration:
    """All but the seed, and its ids."""

    code_dim: int
    config: dict[str, Any]
    config_id: str
    comparison_id: str


@functools.cache
def _cell(found: Resolved, codebook_size: int, code_dim: int) -> Configuration:
    """A tied dimension is the job's own; it is compared with others at the grid's."""
    tied = found.dim_for(codebook_size)
    own = code_dim if tied is None else tied
    config = {"codebook": [codebook_size, own]} | found.config
    comparison = {"codebook": [codebook_size, code_dim]} | found.comparison
    return Configuration(own, config, digest(config), digest(comparison))


@functools.cache
def _resolved(wish: Wish) -> Resolved:
    method = registry.find("methods", wish.method)
    cls = method_class(wish.method)
    own_file = method.path if method.role == "user" and not method.member else None
    if own_file:
        declared.check(cls, own_file)
    data = registry.find("datasets", wish.dataset)
    _check_groups(wish.settings, method.name)

    settings = _shared_settings(wish.settings)
    form = dataset(wish.dataset).form(settings["data"])
    chosen = wish.network or form.network or cls.network
    network, family = registry.find("networks", chosen), network_module(chosen)
    published = dict(cls.for_dataset.get(data.name, {}))
    own = _of(wish.settings, "method") | _of(wish.settings, method.name)
    settings["method"] = build(cls.Settings, published | own, method.name)
    widths = _of(wish.settings, "network") | _of(wish.settings, network.name)
    settings["network"] = build(
        family.Settings, family.for_dataset.get(data.name, {}) | widths, network.name
    )

    code = {
        "method": _code(method, cls.implementation, cls.sources),
        "network": _code(network, family.implementation, ()),
    }
    part = {name: digest(identity(group)) for name, group in settings.items()}
    content = _content(wish.dataset, settings["data"], Path(wish.root))
    shared = {
        "dataset": [data.name, content, part["data"]],
        "train": [part["train"], PIPELINE["train"].implementation],
    }
    default = build(cls.Settings, published, "")
    return Resolved(
        columns={
            "method": method.name,
            "label": printable(cls.label or method.name),
            "kind": method.role,
            "network": network.name,
            "dataset": data.name,
            "settings_label": _settings_label(wish, method.name, settings["method"], default),
            "settings": {name: plain(group) for name, group in settings.items()},
            "code": code,
            "files": {
                kind: str(entry.path)
                for kind, entry in (("method", method), ("network", network), ("dataset", data))
                if not entry.module
            },
        },
        config=shared
        | {
            "method": [method.name, part["method"], code["method"]],
            "network": [network.name, part["network"], code["network"]],
        },
        comparison=shared | {"networks": _network_choices(wish.settings), "encode": part["encode"]},
        parts={s: [s, part[s], PIPELINE[s].implementation] for s in STAGES[1:]},
        dim_for=functools.partial(
            functools.partial(declared.dim_for, cls, own_file) if own_file else cls.dim_for,
            settings=settings["method"],
        ),
    )


def _shared_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    settings: dict[str, Any] = {g: build(kind, _of(given, g), g) for g, kind in GROUPS.items()}
    if settings["sample"].count == 0:
        count = PROTOCOLS[settings["score"].protocol].generated
        settings["sample"] = replace(settings["sample"], count=count)
    return settings


def _of(settings: Mapping[str, Any], group: str) -> dict[str, Any]:
    prefix = f"{group}."
    return {k.removeprefix(prefix): v for k, v in settings.items() if k.startswith(prefix)}


def _check_groups(settings: Mapping[str, Any], method: str) -> None:
    """A setting may be meant for another method or network of the grid, but must be one of its."""
    known = {
        method,
        "method",
        "network",
        *GROUPS,
        *registry.names("methods"),
        *registry.names("networks"),
    }
    for key in settings:
        if ":" not in key and not any(key.startswith(f"{group}.") for group in known):
            raise UserError(
                f"unknown setting {shown(key)}{did_you_mean(key.partition('.')[0], known)}"
            )
    for group in dict.fromkeys(key.partition(".")[0] for key in settings):
        if group in registry.names("methods"):
            build(method_class(group).Settings, _of(settings, group), group)
        elif group in registry.names("networks"):
            build(network_module(group).Settings, _of(settings, group), group)


def _network_choices(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a grid or user set on networks: in a comparison all get the same, defaults included."""
    families = {"network", *registry.names("networks")}
    return {k: v for k, v in settings.items() if k.partition(".")[0] in families}


def _settings_label(wish: Wish, name: str, method: Any, default: Any) -> str:
    """What an axis or a user chose and what differs from the method's default: "nu=0.5"."""
    values, defaults = plain(method), plain(default)
    own = [key for key in wish.chosen if key.partition(".")[0] in ("method", name)]
    parts = [
        f"{n}={values[n]:g}" if isinstance(values[n], float) else f"{n}={values[n]}"
        for n in (key.partition(".")[2] for key in own)
        if n in values and values[n] != defaults[n]
    ]
    networks = _network_choices(wish.settings)
    widths = [f"{k}={networks[k]}" for k in wish.chosen if k not in own and k in networks]
    return " ".join(parts + widths)


@functools.cache
def _content(word: str, data: Any, root: Path) -> str:
    found = dataset(word)
    return f"{found.version}:{found.content_hash(data, root)}"


@functools.cache
def _code(entry: registry.Entry, implementation: int, sources: tuple[str, ...]) -> str:
    if entry.shipped:
        return str(implementation)
    if entry.member:
        return f"{entry.name}@{entry.content}"
    return f"{entry.name}@{registry.source_hash(entry.path, sources)}"


def _stage_ids(
    job_id: str, parts: Mapping[str, list[Any]], stages: tuple[str, ...]
) -> dict[str, str]:
    ids = {STAGES[0]: job_id}
    for stage in STAGES[1:]:
        if stage in stages:
            ids[stage] = digest([ids[PIPELINE[stage].parent], *parts[stage]])
    return ids
