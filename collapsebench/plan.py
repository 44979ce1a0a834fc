"""What a grid would do: jobs, what is done, what is missing, device-hours and gigabytes.

Hours come from measured siblings (same method, network, sizes and device) where there are any,
else from arithmetic: counted multiply-adds over the rate of a named device.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from collapsebench import grid as grids
from collapsebench import jobs as jobs_
from collapsebench import store
from collapsebench.datasets import data_root
from collapsebench.grid import Grid
from collapsebench.jobs import Finished, Job, finished, pending
from collapsebench.quantizer import Incompatible
from collapsebench.settings import UserError

ASK_ABOVE_HOURS = 0.5  # a longer run is confirmed first

# Sustained training rate in multiply-adds per second. a100: that of the paper, which trained EdVAE
# on CIFAR10 for 150 000 steps of 128 images in 12 h (appendix C). cpu: one core at 30 % of the
# 94 GFLOP/s that a large float32 matrix product reached on an EPYC core.
RATES = {"a100": 9.7e12, "cpu": 1.4e10}
PASSES = 3  # forward and backward, in forward passes


@dataclass(frozen=True)
class Choice:
    """What a user said about a grid, the same on every command."""

    grid: str = "demo"
    scale: str | None = None
    methods: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    codebook_sizes: tuple[int, ...] = ()
    code_dims: tuple[int, ...] = ()
    seeds: tuple[int, ...] = ()
    set: tuple[str, ...] = ()
    only: str | None = None
    data_root: Path | None = None

    def jobs(self) -> tuple[Grid, list[Job]]:
        """The grid with the user's overrides, and its jobs.

        Raises:
            UserError: anything unknown or impossible in grid, overrides or methods.
        """
        axes: dict[str, Sequence[Any]] = {
            "method": list(self.methods),
            "network": list(self.networks),
            "dataset": list(self.datasets),
            "codebook_size": list(self.codebook_sizes),
            "code_dim": list(self.code_dims),
        }
        for key in ("codebook_size", "code_dim"):
            grids.check_sizes(key, axes[key], "command line")
        grid = grids.with_overrides(
            grids.load(self.grid, self.scale),
            axes=axes,
            seeds=self.seeds,
            settings=dict(parse_assignment(text) for text in self.set),
        )
        points = grid.points()
        if self.only:
            points = grids.only(points, self.only)
        if not points:
            raise UserError(f"grid {grid.name!r}: nothing is left after the given filters")
        return grid, jobs_.jobs(grid, points, self.data_root)


def parse_assignment(text: str) -> tuple[str, Any]:
    """``train.steps=1000`` -> ("train.steps", 1000)."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UserError(f"--set {text!r} is not of the form group.name=value")
    return key.strip(), grids.parse_value(value.strip())


@dataclass
class Plan:
    """What running a list of jobs would take.

    Attributes:
        done, missing: stages with and without a final result, by stage.
        hours: device-hours of the missing stages, by stage.
        gigabytes: size of the files that the missing stages leave.
        lacking: one line for each thing that must be provided first.
        measured: share of the estimated stages that rest on measured siblings, in [0, 1].
    """

    grid: Grid
    jobs: list[Job]
    device: str
    done: dict[str, int] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)
    hours: dict[str, float] = field(default_factory=dict)
    gigabytes: float = 0.0
    lacking: list[str] = field(default_factory=list)
    measured: float = 0.0

    @property
    def total_hours(self) -> float:
        """Device-hours in all."""
        return sum(self.hours.values())

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, without the settings of every job."""
        values = {
            f.name: getattr(self, f.name)
            for f in dataclasses.fields(self)
            if f.name not in ("grid", "jobs")
        }
        listed = [
            {k: getattr(j, k) for k in ("job_id", "method", "network", "dataset", "codebook_size",
                                        "code_dim", "seed", "scale", "settings_label")}
            for j in self.jobs
        ]  # fmt: skip
        return {"grid": self.grid.name, "scale": self.grid.scale, "jobs": listed} | values


def plan(grid: Grid, jobs: list[Job], results: Path, device: str, root: Path | None) -> Plan:
    """Counts and costs of what is missing.

    Raises:
        UserError: an unknown device.
    """
    if device not in RATES:
        raise UserError(f"unknown device {device!r}; known: {', '.join(sorted(RATES))}")
    found = Plan(grid, jobs, device)
    done = finished(results)
    siblings = measured_seconds(results, device)
    known = total = 0
    for job in jobs:
        left = pending(job, done)
        for stage in job.stage_ids:
            column = found.missing if stage in left else found.done
            column[stage] = column.get(stage, 0) + 1
        for stage in left:
            seconds = siblings.get(sibling(job, stage))
            known, total = known + (seconds is not None), total + 1
            if seconds is None:
                seconds = modelled_seconds(job, stage, device)
            found.hours[stage] = found.hours.get(stage, 0.0) + seconds / 3600
        found.gigabytes += gigabytes(job, left)
    found.measured = known / total if total else 1.0
    found.lacking = lacking(jobs, done, root)
    return found


def lacking(jobs: Iterable[Job], done: Finished, root: Path | None) -> list[str]:
    """One line per dataset or weights file that missing stages need and that is not there."""
    lines: dict[str, None] = {}
    for job in jobs:
        left = pending(job, done)
        if not left:
            continue
        dataset = jobs_.dataset(job.files.get("dataset", job.dataset))
        if line := dataset.missing(job.group("data"), data_root(root)):
            lines[line] = None
        if "score" in left and job.settings["score"]["extractor"].startswith("inception"):
            from collapsebench.fidelity import inception_weights

            try:
                inception_weights(None)
            except UserError as error:
                lines[str(error)] = None
    return list(lines)


def sibling(job: Job, stage: str) -> tuple[Any, ...]:
    """What makes two jobs take equally long in a stage."""
    steps = job.settings["train"]["steps"] if stage == "train" else stage
    return (stage, job.method, job.network, job.dataset, job.codebook_size, job.code_dim, steps)


def measured_seconds(results: Path, device: str) -> dict[tuple[Any, ...], float]:
    """Median wall seconds of finished stages on this kind of device, by ``sibling``."""
    runs = store.read(results, "runs")
    runs = runs[
        (runs["status"] == "done") & (runs["device"] == ("cpu" if device == "cpu" else "cuda"))
    ]
    if runs.empty:
        return {}
    keys = ["stage", "method", "network", "dataset", "codebook_size", "code_dim"]
    last = runs["steps"].where(runs["stage"] == "train", runs["stage"])
    medians = runs.assign(last=last).groupby([*keys, "last"], dropna=False)["wall_s"].median()
    return {key: float(value) for key, value in medians.items()}


def modelled_seconds(job: Job, stage: str, device: str) -> float:
    """Seconds from counted multiply-adds; nearest-neighbour and decoding costs are ignored."""
    rate = RATES[device] * (os.cpu_count() or 1 if device == "cpu" else 1)
    images, side = image_count(job.dataset), image_side(job)
    method, network = (job.files.get(k, getattr(job, k)) for k in ("method", "network"))
    widths = tuple(sorted(job.settings["network"].items()))
    per_image = forward_macs(method, network, side, job.codebook_size, job.code_dim, widths)
    settings = job.settings
    if stage == "train":
        train = settings["train"]
        return PASSES * per_image * train["steps"] * train["batch_size"] / rate
    if stage == "encode":
        return per_image * images / rate
    prior, positions = settings["prior"], (side // 4) ** 2
    per_position = prior_macs(
        prior["channels"], prior["blocks"], prior["layers"], job.codebook_size
    )
    if stage == "prior":
        return PASSES * per_position * positions * images * prior["epochs"] / rate
    if stage == "sample":
        return 2 * per_position * positions * settings["sample"]["count"] / rate
    return (
        (images + settings["sample"]["count"]) * SCORE_MACS[settings["score"]["extractor"]] / rate
    )


SCORE_MACS = {"inception-v3-compat": 5.7e9, "cb-randconv-v1": 1.7e7}  # per image


Widths = tuple[tuple[str, Any], ...]


@functools.cache
def forward_macs(
    method: str, network: str, side: int, codebook_size: int, code_dim: int, widths: Widths
) -> float:
    """Multiply-adds of one image through encoder, codebook and decoder, counted by torch."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    family = jobs_.network_module(network)
    settings = family.Settings(**dict(widths))
    cls = jobs_.method_class(method)
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        try:
            channels = cls(codebook_size, code_dim, cls.Settings()).encoder_channels
        except Incompatible:
            return 0.0  # the job ends at once, as a row that says so
        encoder = family.Encoder(side, channels, settings).eval()
        decoder = family.Decoder(side, code_dim, settings).eval()
        z = encoder(torch.empty(1, 3, side, side))
        decoder(torch.empty(1, code_dim, *z.shape[2:]))
    return counter.get_total_flops() / 2 + codebook_size * code_dim * (side // 4) ** 2


def prior_macs(channels: int, blocks: int, layers: int, codebook_size: int) -> float:
    """Multiply-adds per position of PixelSNAIL: 22 active taps, two convolutions in a layer."""
    residual = blocks * layers * 22 * 3 * channels**2
    attention = blocks * 14 * channels**2
    return float(residual + attention + channels * codebook_size)


def image_count(dataset: str) -> int:
    """Images of the train split that costs are reckoned with."""
    return {"cifar10": 50_000, "celeba": 162_770, "lsun_church": 126_227}.get(dataset, 5_000)


def image_side(job: Job) -> int:
    """Height and width of the job's images in pixels."""
    return jobs_.dataset(job.files.get("dataset", job.dataset)).side(job.group("data"))


def gigabytes(job: Job, stages: Sequence[str]) -> float:
    """Size of what the stages leave on disk: weights, tokens, samples."""
    side, images = image_side(job), image_count(job.dataset)
    token_bytes = 1 if job.codebook_size <= 256 else 2
    prior = job.settings["prior"]
    size = {
        "train": 12e6,
        "encode": images * 1.2 * (side // 4) ** 2 * token_bytes,
        "prior": 4 * 1.2 * prior_macs(prior["channels"], prior["blocks"], prior["layers"], 0),
        "sample": job.settings["sample"]["count"] * (side**2 * 3 + (side // 4) ** 2 * token_bytes),
        "score": 0.0,
    }
    return math.fsum(size[stage] for stage in stages) / 1e9


def show(found: Plan) -> None:
    """Prints a plan for a person."""
    from rich.console import Console
    from rich.table import Table

    grid, console = found.grid, Console()
    cells = len({job.config_id for job in found.jobs})
    seeds = len({job.seed for job in found.jobs})
    console.print(f"[bold]{grid.title}[/bold] — grid {grid.name}, scale {grid.scale}")
    console.print(f"{len(found.jobs)} jobs: {cells} cells × {seeds} seeds", highlight=False)
    table = Table(box=None, pad_edge=False)
    for column in ("stage", "done", "missing", "hours"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    for stage in grid.stages:
        done, missing = found.done.get(stage, 0), found.missing.get(stage, 0)
        hours = found.hours.get(stage, 0.0)
        table.add_row(stage, str(done), str(missing), f"{hours:.3g}" if missing else "")
    console.print(table)
    basis = "measured" if found.measured == 1 else f"{found.measured:.0%} measured, else modelled"
    device = {"cpu": f"hours of this machine's {os.cpu_count()} cores", "a100": "A100 hours"}
    console.print(
        f"{found.total_hours:.3g} {device[found.device]} ({basis}), {found.gigabytes:.2g} GB",
        highlight=False,
    )
    if grid.note:
        console.print(grid.note, highlight=False)
    for line in found.lacking:
        console.print(f"[bold]missing:[/bold] {line}", highlight=False, soft_wrap=True)
    if found.lacking or (found.device == "cpu" and found.total_hours > ASK_ABOVE_HOURS):
        console.print(
            f"a scale that fits a laptop: collapsebench run --grid {grid.name} --scale demo",
            highlight=False,
            soft_wrap=True,
        )
