"""Points of a grid -> jobs: every default spelled out, and the ids that follow from it.

A job is one training, as plain data. ``job_id`` hashes everything that decides the trained model;
``config_id`` the same without the seed (one table cell); ``comparison_id`` without the method, its
settings and the seed (rows may share a table only if it is equal). Stages are children: the id of
each is a hash of its parent's id and its own settings.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from collapsebench import registry, store
from collapsebench.datasets import Dataset, data_root
from collapsebench.grid import Grid, Point
from collapsebench.quantizer import Quantizer
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
IMPLEMENTATIONS = {"train": 1, "encode": 1, "prior": 1, "sample": 1, "score": 1}


@dataclass(frozen=True)
class Job:
    """One training and the stages wanted after it; JSON-ready.

    Attributes:
        stage_ids: stage -> id, for the wanted stages.
        settings: group -> field -> value, all resolved: method, network and ``settings.GROUPS``.
        code: what vouches for method and network: an implementation number, or name@source-hash.
        files: method and network files given by path, copied beside job.json when queued.
    """

    job_id: str
    config_id: str
    comparison_id: str
    stage_ids: dict[str, str]
    method: str
    label: str
    kind: str
    network: str
    dataset: str
    codebook_size: int
    code_dim: int
    seed: int
    scale: str
    settings_label: str
    settings: dict[str, dict[str, Any]]
    code: dict[str, str]
    files: dict[str, str]

    @classmethod
    def load(cls, folder: Path) -> Job:
        """The job whose folder this is.

        Raises:
            UserError: no job.json, or one that this version cannot read.
        """
        try:
            return cls(**json.loads((folder / "job.json").read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise UserError(f"{folder} is not a job's folder: it has no job.json") from None
        except (ValueError, TypeError) as error:
            raise UserError(f"{folder / 'job.json'} cannot be read: {error}") from None

    def queue(self, results: Path) -> Path:
        """Writes job.json and the copies of user files that will run; returns the folder."""
        folder = results / "jobs" / self.job_id
        folder.mkdir(parents=True, exist_ok=True)
        files = {kind: str(folder / Path(source).name) for kind, source in self.files.items()}
        for kind, source in self.files.items():
            if Path(source).resolve() != Path(files[kind]).resolve():
                copy = functools.partial(shutil.copyfile, source)
                store.replace_atomically(Path(files[kind]), copy, Path.stat)
        store.write_json(folder / "job.json", dataclasses.asdict(replace(self, files=files)))
        return folder

    def key(self, stage: str) -> dict[str, Any]:
        """The columns that name this job's rows of one stage."""
        names = ("job_id", "config_id", "comparison_id", "method", "network", "dataset",
                 "codebook_size", "code_dim", "seed", "scale")  # fmt: skip
        label = f"{self.label} {self.settings_label}".strip()
        return {name: getattr(self, name) for name in names} | {
            "label": label,
            "stage": stage,
            "stage_id": self.stage_ids[stage],
        }

    def group(self, name: str) -> Any:
        """The settings dataclass of a shared group, ``job.group("train")``."""
        return build(GROUPS[name], self.settings[name], name)

    def pending(self, results: Path) -> tuple[str, ...]:
        """Wanted stages without a final result, in order; none once a stage ended without one."""
        return pending(self, finished(results))


Finished = Mapping[tuple[str, str], str]


def finished(results: Path) -> Finished:
    """(job_id, stage_id) -> final status, read from the names of the files in ``runs``."""
    found = {}
    for path in (results / "runs").glob("*.parquet"):
        parts = path.name.split(".")
        if len(parts) == 5 and parts[3] in store.FINAL:
            found[parts[0], parts[2]] = parts[3]
    return found


def pending(job: Job, done: Finished) -> tuple[str, ...]:
    """See ``Job.pending``; ``done`` is shared by many jobs."""
    left = []
    for stage in (stage for stage in STAGES if stage in job.stage_ids):
        status = done.get((job.job_id, job.stage_ids[stage]))
        if status in ("diverged", "incompatible"):
            return ()
        if status is None:
            left.append(stage)
    return tuple(left)


def jobs(grid: Grid, points: Iterable[Point], root: Path | None = None) -> list[Job]:
    """One job per point, in the points' order; equal configurations appear once."""
    found: dict[str, Job] = {}
    root = data_root(root)
    for point in points:
        job = resolve(point, grid.stages, grid.scale, root)
        found.setdefault(job.job_id, job)
    return list(found.values())


def method_class(word: str) -> type[Quantizer]:
    """The Quantizer that a method's name or path stands for."""
    return registry.only_subclass(registry.find("methods", word), Quantizer)


def network_module(word: str) -> ModuleType:
    """The module of a network family: ``Settings``, ``Encoder``, ``Decoder``."""
    return registry.load(registry.find("networks", word))


@functools.cache
def dataset(word: str) -> Dataset:
    """The dataset that a name or path stands for."""
    found: Dataset = registry.only_subclass(registry.find("datasets", word), Dataset)()
    return found


def resolve(point: Point, stages: Iterable[str], scale: str, root: Path | None = None) -> Job:
    """A point with every default spelled out, and its ids.

    Raises:
        UserError: unknown method, network, dataset or setting, or a value its type refuses.
    """
    method = registry.find("methods", point.method)
    cls = method_class(point.method)
    network = registry.find("networks", point.network or cls.network)
    family = network_module(point.network or cls.network)
    data = registry.find("datasets", point.dataset)
    _check_groups(point.settings, method.name)

    settings: dict[str, Any] = {
        g: build(kind, _of(point.settings, g), g) for g, kind in GROUPS.items()
    }
    if settings["sample"].count == 0:
        count = PROTOCOLS[settings["score"].protocol].generated
        settings["sample"] = replace(settings["sample"], count=count)
    published = dict(cls.for_dataset.get(data.name, {}))
    chosen = _of(point.settings, "method") | _of(point.settings, method.name)
    settings["method"] = build(cls.Settings, published | chosen, method.name)
    widths = _of(point.settings, "network") | _of(point.settings, network.name)
    settings["network"] = build(
        family.Settings, family.for_dataset.get(data.name, {}) | widths, network.name
    )

    code = {
        "method": _code(method, cls.implementation, cls.sources),
        "network": _code(network, family.implementation, ()),
    }
    content = _content(point.dataset, settings["data"], data_root(root))
    shared = {
        "codebook": [point.codebook_size, point.code_dim],
        "dataset": [data.name, content, _part(settings["data"])],
        "train": [_part(settings["train"]), IMPLEMENTATIONS["train"]],
    }
    config = shared | {
        "method": [method.name, _part(settings["method"]), code["method"]],
        "network": [network.name, _part(settings["network"]), code["network"]],
    }
    job_id = digest(config | {"seed": point.seed})
    stages = tuple(stages)
    return Job(
        job_id=job_id,
        config_id=digest(config),
        comparison_id=digest(
            shared
            | {"networks": _network_choices(point.settings), "encode": _part(settings["encode"])}
        ),
        stage_ids=_stage_ids(job_id, settings, stages),
        method=method.name,
        label=cls.label or method.name,
        kind=method.role,
        network=network.name,
        dataset=data.name,
        codebook_size=point.codebook_size,
        code_dim=point.code_dim,
        seed=point.seed,
        scale=scale,
        settings_label=_settings_label(
            point, settings["method"], build(cls.Settings, published, "")
        ),
        settings={name: plain(group) for name, group in settings.items()},
        code=code,
        files={
            kind: str(entry.path)
            for kind, entry in (("method", method), ("network", network), ("dataset", data))
            if not entry.module
        },
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


def _settings_label(point: Point, method: Any, default: Any) -> str:
    """What an axis or a user chose and what differs from the method's default: "nu=0.5"."""
    values, defaults = plain(method), plain(default)
    names = [
        key.partition(".")[2]
        for key in point.chosen
        if key.partition(".")[0] in ("method", point.method)
    ]
    parts = [
        f"{n}={values[n]:g}" if isinstance(values[n], float) else f"{n}={values[n]}"
        for n in names
        if n in values and values[n] != defaults[n]
    ]
    widths = [
        f"{k}={point.settings[k]}"
        for k in point.chosen
        if k.partition(".")[0] not in ("method", point.method)
        and k in _network_choices(point.settings)
    ]
    return " ".join(parts + widths)


@functools.cache
def _part(settings: Any) -> str:
    return digest(identity(settings))


@functools.cache
def _content(word: str, data: Any, root: Path) -> str:
    found = dataset(word)
    return f"{found.version}:{found.content_hash(data, root)}"


@functools.cache
def _code(entry: registry.Entry, implementation: int, sources: tuple[str, ...]) -> str:
    if entry.shipped:
        return str(implementation)
    return f"{entry.name}@{registry.source_hash(entry.path, sources)}"


def _stage_ids(job_id: str, settings: Mapping[str, Any], stages: Iterable[str]) -> dict[str, str]:
    ids, parent = {"train": job_id}, job_id
    for stage in STAGES[1:]:
        parent = digest([parent, stage, _part(settings[stage]), IMPLEMENTATIONS[stage]])
        ids[stage] = parent
    return {stage: ids[stage] for stage in stages}
