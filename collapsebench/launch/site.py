"""What a cluster wants to know: ``collapsebench.toml``, never part of a grid or an id."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer

from collapsebench.settings import UserError, build, did_you_mean

FILE = "collapsebench.toml"


@dataclass(frozen=True)
class Slurm:
    """``[slurm]``: how to ask for one job's share of a node.

    Attributes:
        time: wall time of an array, like "24h"; "" = twice the plan's estimate, rounded up.
        array_parallelism: jobs of an array at a time.
        requeues: how often a job that met its wall time goes on.
        notice_s: seconds between the scheduler's warning and its kill; the checkpoint is written
            in them.
        setup: shell lines before the job, like "module load cuda".
        parameters: any other ``sbatch`` option, by its long name.
    """

    partition: str = ""
    account: str = ""
    gpus_per_node: int = 0
    cpus_per_task: int = 1
    mem: str = ""
    time: str = ""
    array_parallelism: int = 256
    requeues: int = 20
    notice_s: int = 90
    setup: tuple[str, ...] = ()
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Ray:
    """``[ray]``: which cluster, and one job's share of a node.

    Attributes:
        address: like "auto" or "ray://head:10001"; "" = a cluster of this machine alone.
        gpus_per_job: may be a fraction.
        losses: how often a job is started again after its worker or node was lost.
    """

    address: str = ""
    gpus_per_job: float = 0.0
    cpus_per_job: float = 1.0
    losses: int = 3


@dataclass(frozen=True)
class Site:
    """Both."""

    slurm: Slurm = Slurm()
    ray: Ray = Ray()


def load(results: Path) -> Site:
    """``collapsebench.toml`` beside the results folder, else the user's; defaults without one.

    Raises:
        UserError: a file that is not TOML, or a name or value in it that is not known.
    """
    user = Path(typer.get_app_dir("collapsebench"))
    found = [p for p in (results.resolve().parent / FILE, user / FILE) if p.is_file()]
    if not found:
        return Site()
    try:
        content = tomllib.loads(found[0].read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{found[0]}: not valid TOML: {error}") from None
    if unknown := sorted(set(content) - {"slurm", "ray"}):
        raise UserError(
            f"{found[0]}: unknown table {unknown[0]!r}{did_you_mean(unknown[0], ('slurm', 'ray'))}"
        )
    return Site(
        build(Slurm, content.get("slurm", {}), f"{found[0]}, slurm"),
        build(Ray, content.get("ray", {}), f"{found[0]}, ray"),
    )
