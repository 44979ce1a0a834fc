"""What the harness itself costs: planning, and a job beyond starting Python and torch."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from collapsebench.plan import forecast, grid, resolve

CELLS = {"dataset": ["digits"], "codebook_size": [2**i for i in range(4, 12)],
         "code_dim": [4, 8, 16, 32, 64]}  # fmt: skip
SEEDS = range(42)  # 6 methods x 8 x 5 x 42 = 10 080 jobs
JOB_S = 120.0
IMPORT = "import torch, collapsebench.job.runner"


def rows() -> list[dict[str, str | float]]:
    """Seconds to plan 10 080 jobs, and the share of a two-minute job that is overhead."""
    return [
        {"name": "overhead/plan_10080_jobs", "device": "cpu", "value": planning_s(), "unit": "s",
         "target": 1.0, "better": "lower"},
        {"name": "overhead/job", "device": "cpu", "value": job_overhead_s() / JOB_S * 100,
         "unit": "% of a 2-minute job", "target": 2.0, "better": "lower"},
    ]  # fmt: skip


def planning_s() -> float:
    """From a grid to a plan, in a process that has loaded torch and the methods."""
    made_up = grid.with_overrides(grid.load("tables", "demo"), axes=CELLS, seeds=SEEDS)
    resolve.jobs(made_up, made_up.points()[:240])  # loads the methods, not what they resolve to
    resolve._resolved.cache_clear()
    start = time.perf_counter()
    found = resolve.jobs(made_up, made_up.points())
    forecast.plan(made_up, found, Path("nowhere"), "cpu", None)
    return time.perf_counter() - start


def job_overhead_s() -> float:
    """Seconds of a job of one step, minus importing and the step's own stages."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder)
        short = grid.with_overrides(
            grid.load("ci"), axes={"method": ["vq_vae"]}, seeds=[1], settings={"train.steps": 1}
        )
        (job,) = resolve.jobs(short, short.points())
        command = [sys.executable, "-m", "collapsebench", "job", str(job.queue(results))]
        whole = seconds(command)
        from collapsebench.results import tables

        stages = tables.read(results, "runs")["wall_s"].sum()
    return whole - stages - seconds([sys.executable, "-c", IMPORT])


def seconds(command: list[str]) -> float:
    """Wall time of a process."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ)
    return time.perf_counter() - start


if __name__ == "__main__":
    print(*rows(), sep="\n")
