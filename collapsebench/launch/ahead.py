"""How long the rest of a run will take: by the plan's forecast, then by the rate so far."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from collapsebench.launch import devices
from collapsebench.launch.tasks import Task
from collapsebench.plan import costs
from collapsebench.plan.job import Job
from collapsebench.quantities import duration
from collapsebench.settings import UserError

FORECAST_S = 30.0  # how long a run must have gone on for its own rate to count as much as the plan

Stages = dict[str, float]  # stage -> forecast seconds


class Ahead:
    """The work of a run in seconds as forecast, and what of it is done.

    Attributes:
        left: job_id -> the stages still to be done.
        done: forecast seconds of what ended.
    """

    def __init__(self, todo: Sequence[Task], results: Path, gpus: Sequence[str], slots: int):
        self.rate = max(1, len(gpus))  # forecast seconds a second; on a processor all cores work
        device, start = devices.kind(gpus), self.rate * costs.START_S / slots
        siblings = costs.measured_seconds(results, device)
        cells: dict[tuple[str, str], float] = {}  # seeds of a cell take equally long
        self.left: dict[str, Stages] = {}
        for task in todo:
            own = self.left.setdefault(task.job.job_id, {})
            for stage in task.stages:
                cell = task.job.config_id, stage
                if cell not in cells:
                    cells[cell] = forecast(task.job, stage, device, siblings)
                own[stage] = cells[cell] + start * (stage == task.stages[0])
        self.done, self.began = 0.0, time.monotonic()

    def on_end(self, task: Task, more: bool) -> None:
        """A task ended; what follows of its job comes to nothing unless there is ``more``."""
        stages = self.left.get(task.job.job_id, {})
        for stage in task.stages if more else list(stages):
            self.done += stages.pop(stage, 0.0)

    def seconds(self, states: Mapping[str, Mapping[str, Any]]) -> float:
        """What is left, given how far running jobs are: job_id -> ``results.folder.progress``."""
        under_way = sum(begun(self.left.get(job, {}), state) for job, state in states.items())
        left = sum(sum(stages.values()) for stages in self.left.values()) - under_way
        elapsed = time.monotonic() - self.began
        done = self.done + under_way + self.rate * FORECAST_S
        return left * (elapsed + FORECAST_S) / done

    def words(self, states: Mapping[str, Mapping[str, Any]]) -> str:
        """The same for a person; "" where nothing is left that takes time."""
        seconds = self.seconds(states)
        return f"about {duration(seconds)}" if seconds >= 1 else ""


def forecast(job: Job, stage: str, device: str, siblings: dict[tuple[Any, ...], float]) -> float:
    """Seconds of a stage; 0 where the job's own process will say why it cannot be run."""
    try:
        return costs.seconds(job, stage, device, siblings)
    except UserError:
        return 0.0


def begun(stages: Stages, state: Mapping[str, Any]) -> float:
    """Forecast seconds that a running job has behind it, of stages in their order."""
    if state.get("stage") not in stages:
        return 0.0
    names = list(stages)
    before = names[: names.index(state["stage"])]
    share = min(1.0, state["done"] / max(state["total"], 1))
    return sum(stages[name] for name in before) + share * stages[state["stage"]]
