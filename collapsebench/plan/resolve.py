"""Points of a grid -> jobs: every default spelled out, and the ids that follow from it.

A job is one training, as plain data. ``job_id`` hashes everything that decides the trained model;
``config_id`` the same without the seed (one table cell); ``comparison_id`` without the method, its
settings and the seed (rows may share a table only if it is equal). Stages are children: the id of
each is a hash of its parent's id and its own settings.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from collapsebench.datasets import data_root
from collapsebench.plan import registry
from collapsebench.plan.grid import Grid, Point
from collapsebench.plan.job import Job
from collapsebench.plan.registry import dataset, method_class, network_module
from collapsebench.settings import (
    GROUPS,
    PROTOCOLS,
    STAGES,
    UserError,
    build,
    did_you_mean,
    digest,
    identity,
    plain,
)

# Bumped by hand when the numbers of a stage change; `check --level 1` says when that is due.
IMPLEMENTATIONS = {"train": 1, "encode": 1, "prior": 2, "sample": 1, "score": 1}


def jobs(grid: Grid, points: Iterable[Point], root: Path | None = None) -> list[Job]:
    """One job per point, in the points' order; equal configurations appear once."""
    found: dict[str, Job] = {}
    root = data_root(root)
    for point in points:
        job = resolve(point, grid.stages, grid.scale, root)
        found.setdefault(job.job_id, job)
    return list(found.values())


def resolve(point: Point, stages: Iterable[str], scale: str, root: Path | None = None) -> Job:
    """A point with every default spelled out, and its ids.

    Raises:
        UserError: unknown method, network, dataset or setting, or a value its type refuses.
    """
    found = _resolved(
        point.method,
        point.network,
        point.dataset,
        json.dumps(point.settings),
        point.chosen,
        data_root(root),
        _stamps(point),
    )
    cell = _cell(found, point.codebook_size, point.code_dim)
    job_id = digest(cell.config | {"seed": point.seed})
    return Job(
        job_id=job_id,
        config_id=cell.config_id,
        comparison_id=cell.comparison_id,
        stage_ids=_stage_ids(job_id, found.parts, tuple(stages)),
        codebook_size=point.codebook_size,
        code_dim=point.code_dim,
        seed=point.seed,
        scale=scale,
        **found.columns,
    )


def _stamps(point: Point) -> tuple[int, ...]:
    words = (point.method, point.network, point.dataset)
    files = [Path(word).expanduser() for word in words if word.endswith(".py")]
    return tuple(file.stat().st_mtime_ns for file in files if file.is_file())


@dataclass(frozen=True, eq=False)
class Resolved:
    """What the names and settings of a point stand for, whatever its sizes and seed.

    Attributes:
        columns: fields of the job.
        config: what its config_id hashes beside the sizes, and ``comparison`` its comparison_id.
        parts: stage -> what its id hashes beside its parent's id.
    """

    columns: dict[str, Any]
    config: dict[str, Any]
    comparison: dict[str, Any]
    parts: dict[str, list[Any]]


@dataclass(frozen=True)
class Cell:
    """All but the seed, and its ids."""

    config: dict[str, Any]
    config_id: str
    comparison_id: str


@functools.cache
def _cell(found: Resolved, codebook_size: int, code_dim: int) -> Cell:
    codebook = {"codebook": [codebook_size, code_dim]}
    config = codebook | found.config
    return Cell(config, digest(config), digest(codebook | found.comparison))


@functools.cache
def _resolved(
    method_word: str, network_word: str, dataset_word: str, given: str,
    chosen: tuple[str, ...], root: Path, stamps: tuple[int, ...],
) -> Resolved:  # fmt: skip
    """Of many jobs of a grid, most share these; ``given`` is the point's settings as JSON.

    ``stamps`` says whether a file given by path was edited since.
    """
    wanted = json.loads(given)
    method = registry.find("methods", method_word)
    cls = method_class(method_word)
    network = registry.find("networks", network_word or cls.network)
    family = network_module(network_word or cls.network)
    data = registry.find("datasets", dataset_word)
    _check_groups(wanted, method.name)

    settings: dict[str, Any] = {g: build(kind, _of(wanted, g), g) for g, kind in GROUPS.items()}
    if settings["sample"].count == 0:
        count = PROTOCOLS[settings["score"].protocol].generated
        settings["sample"] = replace(settings["sample"], count=count)
    published = dict(cls.for_dataset.get(data.name, {}))
    own = _of(wanted, "method") | _of(wanted, method.name)
    settings["method"] = build(cls.Settings, published | own, method.name)
    widths = _of(wanted, "network") | _of(wanted, network.name)
    settings["network"] = build(
        family.Settings, family.for_dataset.get(data.name, {}) | widths, network.name
    )

    code = {
        "method": _code(method, cls.implementation, cls.sources),
        "network": _code(network, family.implementation, ()),
    }
    part = {name: digest(identity(group)) for name, group in settings.items()}
    shared = {
        "dataset": [data.name, _content(dataset_word, settings["data"], root), part["data"]],
        "train": [part["train"], IMPLEMENTATIONS["train"]],
    }
    default = build(cls.Settings, published, "")
    return Resolved(
        columns={
            "method": method.name,
            "label": cls.label or method.name,
            "kind": method.role,
            "network": network.name,
            "dataset": data.name,
            "settings_label": _settings_label(
                method_word, wanted, chosen, settings["method"], default
            ),
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
        comparison=shared | {"networks": _network_choices(wanted), "encode": part["encode"]},
        parts={s: [s, part[s], IMPLEMENTATIONS[s]] for s in STAGES[1:]},
    )


def _of(settings: Mapping[str, Any], group: str) -> dict[str, Any]:
    prefix = f"{group}."
    return {k.removeprefix(prefix): v for k, v in settings.items() if k.startswith(prefix)}


def _check_groups(settings: Mapping[str, Any], method: str) -> None:
    """A setting may be meant for another method or network of the grid, but must be somebody's."""
    known = {
        method,
        "method",
        "network",
        *GROUPS,
        *registry.names("methods"),
        *registry.names("networks"),
    }
    for key in settings:
        if (group := key.partition(".")[0]) not in known:
            raise UserError(f"unknown setting {key!r}{did_you_mean(group, known)}")


def _network_choices(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a grid or user set on networks: in a comparison all get the same, defaults included."""
    families = {"network", *registry.names("networks")}
    return {k: v for k, v in settings.items() if k.partition(".")[0] in families}


def _settings_label(
    method_word: str, given: Mapping[str, Any], chosen: Iterable[str], method: Any, default: Any
) -> str:
    """What an axis or a user chose and what differs from the method's default: "nu=0.5"."""
    values, defaults = plain(method), plain(default)
    own = [key for key in chosen if key.partition(".")[0] in ("method", method_word)]
    names = [key.partition(".")[2] for key in own]
    parts = [
        f"{n}={values[n]:g}" if isinstance(values[n], float) else f"{n}={values[n]}"
        for n in names
        if n in values and values[n] != defaults[n]
    ]
    networks = _network_choices(given)
    widths = [f"{k}={given[k]}" for k in chosen if k not in own and k in networks]
    return " ".join(parts + widths)


@functools.cache
def _content(word: str, data: Any, root: Path) -> str:
    found = dataset(word)
    return f"{found.version}:{found.content_hash(data, root)}"


@functools.cache
def _code(entry: registry.Entry, implementation: int, sources: tuple[str, ...]) -> str:
    if entry.shipped:
        return str(implementation)
    return f"{entry.name}@{registry.source_hash(entry.path, sources)}"


def _stage_ids(
    job_id: str, parts: Mapping[str, list[Any]], stages: tuple[str, ...]
) -> dict[str, str]:
    ids, parent = {"train": job_id}, job_id
    for stage in STAGES[1 : len(stages)]:  # a grid's stages are the first so many of all
        ids[stage] = parent = digest([parent, *parts[stage]])
    return ids
