"""Shared pieces: a job small enough to train in a second, and a place for its data."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch

from collapsebench.job.order import Order
from collapsebench.job.workspace import Workspace
from collapsebench.plan import resolve
from collapsebench.plan.grid import Point
from collapsebench.plan.job import Job

TINY = {
    "train.steps": 20,
    "train.horizon": 20,
    "train.batch_size": 16,
    "train.points": 4,
    "vqvae.width": 8,
    "vqvae.residual_width": 4,
    "dalle.width": 8,
    "sqvae.width": 8,
    "prior.epochs": 1,
    "prior.channels": 16,
    "prior.blocks": 1,
    "prior.layers": 1,
    "score.protocol": "tiny",
    "score.extractor": "cb-randconv-v1",
}
# A thread for each test worker and each process that a test starts: two that share two cores with
# two threads each wait for one another longer than they compute.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # a waiting thread lets others work
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # a process need not compile the package again
torch.set_num_threads(1)

FEW = str(Path(__file__).with_name("few_digits.py"))
ALL = ("train", "encode", "prior", "sample", "score")


def some_of(
    cases: Iterable[Any], kind: Callable[[Any], str], name: Callable[[Any], str], count: int
) -> list[Any]:
    """Parameters of a test: of each kind of cases the first ones, the others marked slow."""
    seen: Counter[str] = Counter()
    parameters = []
    for case in cases:
        seen[kind(case)] += 1
        marks = [pytest.mark.slow] if seen[kind(case)] > count else []
        parameters.append(pytest.param(case, id=name(case), marks=marks))
    return parameters


def tiny_grid(beside: str, steps: int = 20) -> str:
    """A grid file of two jobs, ``vq_vae`` and one beside it, seconds each."""
    return f"""
schema = 1
name = "tiny"
stages = ["train", "encode"]

[axes]
method = ["vq_vae", "{beside}"]
dataset = ["{FEW}"]
codebook_size = [8]
code_dim = [4]

[replicates]
seed = [1]

[train]
steps = {steps}
horizon = {steps}
batch_size = 8
points = 2

[[override]]
when = {{}}
set = {{ "vqvae.width" = 8, "vqvae.residual_width" = 4, "dalle.width" = 8 }}
"""


@pytest.fixture(scope="session")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def tiny_job(data_root: Path):
    """``tiny_job(method="edvae", seed=1, stages=(...), **{"method.beta": 1e-6})`` -> Job."""

    def make(
        method: str = "vq_vae",
        seed: int = 42,
        stages: tuple[str, ...] = ("train", "encode"),
        codebook_size: int = 16,
        **settings: object,
    ) -> Job:
        point = Point(method, "", FEW, codebook_size, 4, seed, TINY | settings, tuple(settings))
        return resolve.resolve(point, stages, "demo", data_root)

    return make


@pytest.fixture
def workspace(data_root: Path):
    """``workspace(job, results)`` -> the work workspace of a queued job."""

    def make(job: Job, results: Path) -> Workspace:
        folder = job.queue(results)
        return Workspace(
            Job.load(folder),
            folder,
            results,
            torch.device("cpu"),
            1,
            Order(data_root=data_root),
        )

    return make
