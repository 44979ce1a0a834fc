"""A job's folder, ``jobs/<job_id>``: which file in it is what, and the small ones read back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from collapsebench.results import tables

JOB = "job.json"  # the job as plain data
ORDER = "order.json"  # what the launcher tells it
THREADS = "threads"  # of its first start
CANCEL = "cancel"  # a file of this name asks whoever runs the job to end it
LOG = "log.txt"  # what its processes printed
STATUS = "status.json"  # how its last attempt ended
PROGRESS = "progress.json"  # how far it is

# What its stages leave, in their order.
MODEL = "model.safetensors"
ENTROPY_MAPS = "entropy_maps.npy"  # of methods with a posterior: one image along training
CODEBOOK = "codebook.npy"
RECONSTRUCTIONS = "reconstructions.png"
PRIOR = "prior.safetensors"
SAMPLE_TOKENS = "sample_tokens.npy"
SAMPLES = "samples.npy"
SAMPLE_GRID = "samples.png"
NEIGHBOURS = "neighbours.png"


def tokens_file(split: str) -> str:
    """The tokens of a split."""
    return f"tokens-{split}.npy"


def checkpoint_file(stage: str) -> str:
    """Where a stage that can resume writes how far it is."""
    return f"{stage}.ckpt"


def marker_file(stage: str) -> str:
    """What a finished stage left, and with which settings."""
    return f"{stage}.json"


def job_folder(results: Path, job_id: str) -> Path:
    """Where a job's files lie."""
    return results / "jobs" / job_id


def begins_with(results: Path, word: str) -> list[Path]:
    """Folders of the jobs whose id begins so."""
    found = (path.parent for path in (results / "jobs").glob(f"*/{JOB}"))
    return sorted(path for path in found if path.name.startswith(word))


def say(folder: Path, stage: str, status: str, message: str) -> None:
    """Writes down how an attempt at a stage ended."""
    said = {"stage": stage, "status": status, "message": message}
    tables.write_json(folder / STATUS, said)


def last_said(folder: Path) -> dict[str, str]:
    """Stage, status and message of a job's last attempt; empty before the first."""
    return _read(folder / STATUS, {"stage": str, "status": str, "message": str})


def progress(folder: Path) -> dict[str, Any]:
    """What a running job last said of itself: stage, done, total, values; empty before that."""
    state = _read(folder / PROGRESS, {"stage": str, "done": int, "total": int, "values": dict})
    if state:
        numbers = {k: v for k, v in state["values"].items() if isinstance(v, int | float)}
        state["values"] = numbers
    return state


def log_tail(folder: Path, lines: int = 30) -> Iterator[str]:
    """The last lines of a job's log."""
    try:
        yield from (folder / LOG).read_text(errors="replace").splitlines()[-lines:]
    except OSError:
        return


def _read(path: Path, kinds: dict[str, type]) -> dict[str, Any]:
    """A small JSON file; {} if it is absent, torn, or lacks a field of its kind."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return found if all(isinstance(found.get(k), kind) for k, kind in kinds.items()) else {}
