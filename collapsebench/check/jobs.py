"""Level 1, whole jobs: four of them through all five stages, and every row and file they leave.

The jobs are real: points of a grid, resolved, queued, run by the runner, committed to a results
folder of their own, read back by the store's reader. Made up is what they work on: images that tell
channels, splits and order apart (``colours``), a method in which every hook shows (``telltale``).
Two jobs differ in their seed; the third takes the other branch of the settings, the fourth has
several codebooks.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from collapsebench.check import images, records
from collapsebench.check.records import Record, Records, compare
from collapsebench.check.trajectories import CPU, RTOL, DoubleVAE, double, one_thread, read, write
from collapsebench.check.verdicts import MISSING, WORSE, Finding
from collapsebench.fidelity.scoring import PROVENANCE
from collapsebench.job import runner
from collapsebench.job.model import DiscreteVAE
from collapsebench.job.order import Order
from collapsebench.job.workspace import Workspace
from collapsebench.plan import registry, resolve
from collapsebench.plan.grid import Grid, with_overrides
from collapsebench.plan.job import Job
from collapsebench.results import tables
from collapsebench.settings import STAGES

__all__ = ["FILE", "RTOL", "computed", "queued", "read", "record", "run", "work", "write"]

FILE = "jobs.json"
METHOD, DATASET = (str(Path(__file__).parent / name) for name in ("telltale.py", "colours.py"))

GRID = Grid(
    name="check",
    title="check",
    reproduces=(),
    stages=STAGES,
    axes={"method": [METHOD], "dataset": [DATASET], "codebook_size": [12], "code_dim": [4]},
    seeds=(42, 1773),
    settings={
        "train.steps": 24,  # of 10 in an epoch
        "train.horizon": 24,
        "train.ramp": 150_000,
        "train.batch_size": 32,
        "train.points": 6,
        "vqvae.width": 8,
        "vqvae.residual_width": 4,
        "vqvae.residual_layers": 1,
        "prior.epochs": 3,
        "prior.channels": 16,
        "prior.blocks": 1,
        "prior.layers": 1,
        "sample.count": 200,
        "sample.batch_size": 128,
        "score.protocol": "tiny",
        "score.extractor": "cb-randconv-v1",
    },
    overrides=(),
    excludes=(),
)
OTHER_CHOICES = {
    "train.anneal": "half_cosine",
    "encode.assignment": "sample",
    "prior.schedule": "cosine",
    "prior.center": "inclusive",
    "prior.early_stopping": 1,
    "sample.temperature": 0.7,
    "sample.seed": 1,
    "score.k": 4,
    "score.seed": 1,
}

# All that the stages leave to us is float64, and within RTOL on any machine; tokens, images and
# counts are equal. Features are float32 by definition: of the 1e-7 that they may differ by, the
# root of their singular covariance and the difference `fd_gap` make 1e-5 at most.
SCORE_RTOL = 1e-4

# table -> what names a row in it, what is compared of it; ids and places are not
COLUMNS: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    "runs": (
        (),
        ("message", "status", "label", "network", "codebook_size", "code_dim", "seed", "scale",
         "data_hash", "split_hash", "steps", "precision", "variant", "parameters_encoder",
         "parameters_decoder", "parameters_quantizer", "parameters_prior"),
    ),
    "metrics": (("metric", "split", "codebook"), ("value", "n_items", "ceiling")),
    "codes": (("split", "codebook"), ("counts",)),
    "curves": (("metric",), ("step", "value")),
}  # fmt: skip
PROTOCOL = ("name", "rankable", "extractor", "extractor_sha256", "verified")


class DoubleWorkspace(Workspace):
    """A job's workspace whose model is float64."""

    def fresh_model(self) -> DiscreteVAE:
        """As its seed makes it."""
        return DoubleVAE.of(super().fresh_model())


def run(stored: Path | None) -> list[Finding]:
    """One finding per stage of each job and per built-in dataset, one more for the first stage."""
    if stored is None:
        return [Finding(1, FILE, MISSING, "no such file among the baselines")]
    before, now = read(stored), computed()
    return [*compare(1, before, now, RTOL), *common_cause(before, now)]


def common_cause(before: Records, now: Records) -> list[Finding]:
    """One more finding where several stages changed: the first is the place."""
    changed = {f.subject for f in compare(1, before, now, RTOL) if f.verdict == WORSE}
    stages = [s for s in STAGES if any(subject.startswith(f"{s}, ") for subject in changed)]
    if len(stages) < 2:
        return []
    first, *later = stages
    text = f"{', '.join(later)} read what it leaves: look here; bump {records.stage_number(first)}"
    return [Finding(1, first, WORSE, text)]


def computed() -> dict[str, Record]:
    """The rows and files of this code, stage by stage, and its built-in images."""
    with tempfile.TemporaryDirectory() as folder:
        queue = queued(Path(folder))
        for workspace in queue.values():
            work(workspace)
        found = {
            f"{stage}, {name}": record(workspace, stage)
            for stage in STAGES
            for name, workspace in queue.items()
        }
    return found | images.computed()


def queued(folder: Path) -> dict[str, DoubleWorkspace]:
    """The four jobs in ``<folder>/results``, by name; their images in ``<folder>/data``."""
    first = GRID.seeds[:1]
    other = with_overrides(GRID, seeds=first, settings=OTHER_CHOICES)
    several = with_overrides(GRID, seeds=first, axes={"method": ["rq_vae"]})
    points = [*GRID.points(), *other.points(), *several.points()]
    names = [*(f"seed {seed}" for seed in GRID.seeds), "other choices", "several codebooks"]
    jobs = [resolve.resolve(point, STAGES, "check", folder / "data") for point in points]
    return {name: _workspace(job, folder) for name, job in zip(names, jobs, strict=True)}


def _workspace(job: Job, folder: Path) -> DoubleWorkspace:
    results = folder / "results"
    own = job.queue(results)
    order = Order(data_root=folder / "data")
    return DoubleWorkspace(Job.load(own), own, results, CPU, 1, order)


def work(workspace: Workspace, stages: Sequence[str] = STAGES) -> None:
    """Runs what is missing of a job, without its log; a failure becomes a row."""
    with one_thread(), double(), contextlib.redirect_stdout(io.StringIO()):
        runner.run(workspace, stages)


def record(workspace: Workspace, stage: str) -> Record:
    """What a stage of a job left."""
    values = dict(rows(workspace, stage))
    values |= dict(protocols(workspace, stage)) | dict(files(workspace.folder, stage))
    job, before = workspace.job, STAGES[: STAGES.index(stage) + 1]
    method = registry.method_class(job.files.get("method", job.method)).implementation
    network = registry.network_module(job.network).implementation
    version = registry.dataset(DATASET).version
    return Record(
        f"{job.method} {method}, network {network}, colours {version}, {records.of_stages(before)}",
        values,
        records.stage_number(stage),
        SCORE_RTOL if stage == "score" else RTOL,
    )


def rows(workspace: Workspace, stage: str) -> Iterator[tuple[str, np.ndarray]]:
    """Every compared column of every row, by table and row; an absent value has no entry."""
    for table, (names, columns) in COLUMNS.items():
        found: dict[str, list[Any]] = {}
        for row in written(workspace, stage, table):
            named = [str(row[part]) for part in names if row.get(part)]
            for column in columns:
                if np.ndim(row[column]) or not pd.isna(row[column]):
                    name = " ".join([table, *named, column])
                    found.setdefault(name, []).append(row[column])
        yield from ((name, as_array(values)) for name, values in found.items())


def written(workspace: Workspace, stage: str, table: str) -> list[dict[str, Any]]:
    """The rows of a stage in a table."""
    frame = tables.read(workspace.results, table, jobs={workspace.job.job_id})
    return frame[frame["stage"] == stage].to_dict("records")


def as_array(values: list[Any]) -> np.ndarray:
    """A column: strings, or float64."""
    return np.array(values, dtype=str if isinstance(values[0], str) else np.float64)


def protocols(workspace: Workspace, stage: str) -> Iterator[tuple[str, np.ndarray]]:
    """How a stage measured distances, but for the versions of packages and the device."""
    for row in written(workspace, stage, "protocols"):
        facts = json.loads(row["details"]) | {f"column {name}": row[name] for name in PROTOCOL}
        for name, value in facts.items():
            if name not in PROVENANCE:
                yield f"protocols {name}", as_array([value])


def files(folder: Path, stage: str) -> Iterator[tuple[str, np.ndarray]]:
    """The arrays and pictures of a finished stage: numbers as they are, all else by its hash."""
    marker = folder / f"{stage}.json"
    for name in json.loads(marker.read_text())["files"] if marker.is_file() else ():
        if name.endswith(".npy"):
            yield name, hashed(np.load(folder / name))
        elif name.endswith(".png"):
            with Image.open(folder / name) as picture:
                yield name, hashed(np.asarray(picture))


def hashed(array: np.ndarray) -> np.ndarray:
    """Whole numbers as one string that names shape and content; others unchanged."""
    if array.dtype.kind == "f":
        return array.astype(np.float64)
    content = hashlib.sha256(array.tobytes()).hexdigest()[:16]
    return np.array([f"{array.shape} {content}"])
