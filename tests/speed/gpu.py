"""Training steps on one GPU at the paper's width: each method alone, in bf16, recorded, together.

Networks, batch and images are those of ``training.py``. Steps per second are of the steps between
two moments at which the GPU had nothing left to do, after a warm-up. Without a GPU there is
nothing to measure and the rows of the last one stay.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from typing import Any

import torch

from collapsebench.job import train
from collapsebench.settings import Train
from tests.speed.training import BATCH, METHODS, fresh, images

WARM_UP = 100  # steps, those before the recording among them
SECONDS = 2.0  # of steps after it
ASK = 50  # steps between two looks at the clock


def rows() -> list[dict[str, Any]]:
    """Per method: images per second alone, in bf16 and not recorded, and beside the five others."""
    if not torch.cuda.is_available():
        return []
    found = []
    for method in METHODS:
        [alone] = together([method], "fp32", "bf16", "ordinary")
        found += [
            row(f"{method}_own", alone["fp32"], "images/s"),
            row(f"{method}_bf16", alone["bf16"] / alone["fp32"], "x own"),
            row(f"{method}_recorded", alone["fp32"] / alone["ordinary"], "x ordinary steps"),
            row(f"{method}_memory", alone["memory_mb"], "MB"),
        ]
    beside = together(list(METHODS), "fp32")
    found += [row("six_at_once", sum(one["fp32"] for one in beside), "images/s")]
    return found + [
        row(f"{method}_beside_five", one["fp32"], "images/s")
        for method, one in zip(METHODS, beside, strict=True)
    ]


def row(name: str, value: float, unit: str) -> dict[str, Any]:
    """One measured number."""
    return {
        "name": f"gpu/{name}",
        "device": torch.cuda.get_device_name(),
        "value": value,
        "unit": unit,
    }


def together(methods: list[str], *ways: str) -> list[dict[str, float]]:
    """What each method measures in a process of its own, all at the same time."""
    command = [sys.executable, "-m", "tests.speed.gpu"]
    started = [
        subprocess.Popen([*command, method, *ways], stdout=subprocess.PIPE, text=True)
        for method in methods
    ]
    return [json.loads(process.communicate()[0].splitlines()[-1]) for process in started]


def measured(method: str, *ways: str) -> dict[str, float]:
    """Images per second in each way, "fp32", "bf16" or "ordinary", and the memory of the first."""
    found: dict[str, float] = {}
    for way in ways:
        found[way] = rate(method, way)
        found.setdefault("memory_mb", torch.cuda.max_memory_allocated() / 1e6)
    return found


def rate(method: str, way: str) -> float:
    """Images per second of the trainer, stopped from outside."""
    steps, began = 0, 0.0
    network = fresh(method)
    network.recordable &= way != "ordinary"

    def stop() -> bool:  # asked before each step
        nonlocal steps, began
        steps += 1
        if steps < WARM_UP or (steps - WARM_UP) % ASK:
            return False
        torch.cuda.synchronize()
        began = began or time.perf_counter()
        return time.perf_counter() - began > SECONDS

    settings = Train(precision="bf16" if way == "bf16" else "fp32")
    with contextlib.suppress(train.Interrupted):
        train.fit(network, images(), settings, seed=0, device=torch.device("cuda"), stop=stop)
    return BATCH * (steps - WARM_UP) / (time.perf_counter() - began)


if __name__ == "__main__":
    print(json.dumps(measured(*sys.argv[1:])))
