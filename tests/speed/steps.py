"""Whole training steps of every method at scale `cpu`, as grid `collapse` has them: one thread.

Beside the trainer stands a plain eager loop of the official recipe. Each measurement is a process
of its own and takes the mean of its steps, by processor time: some methods do not work in each.
The two are measured twice, in the order plain, own, own, plain; the lesser time of each stands.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

from collapsebench.job import model, train
from collapsebench.job.process import keep_freed_memory
from collapsebench.plan import grid, registry, resolve
from collapsebench.plan.job import Job
from collapsebench.settings import build
from tests import plain_loop
from tests.speed.training import images

WARM_UP = 5  # steps
SECONDS = 5.0  # of steps after it
TARGETS = {"edvae": 2.5}  # every other method 1


def rows() -> list[dict[str, Any]]:
    """Per method: ms of a step, times as fast as the plain loop, minutes of a training."""
    return [row for name in methods() for row in measure(name)]


def methods() -> list[str]:
    """The methods of the grid, in its order."""
    return list(grid.load("collapse").axes["method"])


def measure(method: str) -> Iterator[dict[str, Any]]:
    """The rows of one method."""
    rounds = [(loop, alone(method, loop)) for loop in ("plain", "own", "own", "plain")]
    plain, own = (
        min((found for loop, found in rounds if loop == name), key=lambda found: found["step_s"])
        for name in ("plain", "own")
    )
    at = {"name": f"steps/{method}", "device": "cpu", "value": 1e3 * own["step_s"], "unit": "ms"}
    yield at
    yield at | {
        "name": f"steps/{method}_ratio",
        "value": plain["step_s"] / own["step_s"],
        "unit": "x plain loop",
        "target": TARGETS.get(method, 1.0),
    }
    minutes = own["step_s"] * own["steps"] / 60
    yield at | {"name": f"steps/{method}_training", "value": minutes, "unit": "minutes"}


def alone(method: str, loop: str) -> dict[str, float]:
    """One measurement in its own process."""
    command = [sys.executable, "-m", "tests.speed.steps", method, loop]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, float] = json.loads(said.splitlines()[-1])
    return found


def job(method: str) -> Job:
    """The method's job in the grid."""
    chosen = grid.with_overrides(grid.load("collapse"), axes={"method": [method]}, seeds=[42])
    (found,) = resolve.jobs(chosen, chosen.points())
    return found


def fresh(job: Job) -> model.DiscreteVAE:
    """The model of a job as its seed makes it."""
    method, family = registry.method_class(job.method), registry.network_module(job.network)
    return model.build(
        method, family, image_size=32, codebook_size=job.codebook_size, code_dim=job.code_dim,
        method_settings=build(method.Settings, job.settings["method"], job.method),
        network_settings=build(family.Settings, job.settings["network"], job.network),
        seed=job.seed,
    )  # fmt: skip


class Clock:
    """Processor time of the steps after those that warm up."""

    def __init__(self) -> None:
        self.steps, self.began, self.passed = -WARM_UP, 0.0, 0.0

    def tick(self) -> bool:
        """Called between steps; True once enough were taken."""
        now = time.process_time()
        self.steps += 1
        if self.steps <= 0:
            self.began = now
        self.passed = now - self.began
        return self.passed > SECONDS


def plain(job: Job) -> Clock:
    """The plain loop."""
    clock = Clock()
    for _ in plain_loop.losses(fresh(job), images(), job.group("train"), job.seed):
        if clock.tick():
            break
    return clock


def own(job: Job) -> Clock:
    """The trainer, stopped from outside; what it compiles, it compiles before its first step."""
    clock, cpu = Clock(), torch.device("cpu")
    with contextlib.suppress(train.Interrupted):
        train.fit(fresh(job), images(), job.group("train"), seed=job.seed, device=cpu,
                  stop=clock.tick)  # fmt: skip
    return clock


LOOPS: dict[str, Callable[[Job], Clock]] = {"plain": plain, "own": own}


def main(method: str, loop: str) -> dict[str, float]:
    """Seconds of a step, and the steps of a training."""
    torch.set_num_threads(1)
    if loop == "own":
        keep_freed_memory()  # as the process of a job does
    measured = job(method)
    clock = LOOPS[loop](measured)
    return {"step_s": clock.passed / clock.steps, "steps": measured.group("train").steps}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
