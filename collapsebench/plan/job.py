"""A job: one training, as plain data, and which of its stages are still to be done."""

from __future__ import annotations

import dataclasses
import filecmp
import shutil
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from collapsebench.results import disk
from collapsebench.results.folder import (
    CANCEL,
    JOB,
    LOG,
    ORDER,
    PROGRESS,
    STATUS,
    THREADS,
    clear,
    job_folder,
    read_json,
    spoiled,
)
from collapsebench.results.runs import Finished, finished
from collapsebench.settings import GROUPS, STAGES, UserError, build


@dataclass(frozen=True)
class Job:
    """One training and the stages wanted after it; JSON-ready.

    Attributes:
        stage_ids: stage -> id, for the wanted stages.
        settings: group -> field -> value, all resolved: method, network and ``settings.GROUPS``.
        code: what vouches for method and network: an implementation number, or name@source-hash.
        files: kind -> a user's method, network or dataset file; of a queued job, the copy there.
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
        path = folder / JOB
        if not path.is_file():
            raise UserError(f"{folder} is not a job's folder: it has no {JOB}")
        content = read_json(path, {})
        if not content:
            raise UserError(f"{path} cannot be read: it is torn, or holds no object")
        try:
            job = build(cls, content, "job")
        except UserError as error:
            raise UserError(f"{path} cannot be read: {error}") from None
        files = {kind: str(folder / Path(name).name) for kind, name in job.files.items()}
        return replace(job, files=files)

    def queue(self, results: Path) -> Path:
        """Writes job.json and the copies of user files that will run; returns the folder."""
        folder = job_folder(results, self.job_id)
        folder.mkdir(parents=True, exist_ok=True)
        clear(folder, (JOB, ORDER, THREADS, CANCEL, LOG, STATUS, PROGRESS))
        files = {kind: Path(source).name for kind, source in self.files.items()}
        for kind, source in self.files.items():
            target = folder / files[kind]
            if not (target.is_file() and filecmp.cmp(source, target, shallow=False)):
                disk.replace_atomically(target, partial(shutil.copyfile, source), Path.stat)
        disk.write_json(folder / JOB, dataclasses.asdict(replace(self, files=files)))
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
        """Wanted stages to be run, in order: without a final result, or without all its rows.

        None once a stage ended without files for the next.
        """
        return pending(self, finished(results, [self.job_id]))


def harmed(job: Job, results: Path, done: Finished) -> dict[str, str]:
    """Stages that are done and whose files were damaged since -> why; see ``pending``."""
    ids = {s: key for s, key in job.stage_ids.items() if done.get((job.job_id, key)) == "done"}
    return spoiled(job_folder(results, job.job_id), ids)


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
