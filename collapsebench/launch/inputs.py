"""Data are read before anything is queued: what no job could use is one line, not a row each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from collapsebench.datasets import IMAGES, Items, data_root
from collapsebench.plan import costs
from collapsebench.plan.forecast import data_of
from collapsebench.plan.job import Job
from collapsebench.settings import UserError


def refuse_unusable(jobs: Sequence[Job], root: Path | None) -> None:
    """Looks at all data of the jobs but images, any of which can be trained on.

    Raises:
        UserError: as ``looked_at``.
    """
    groups: dict[object, list[Job]] = {}
    for job in jobs:
        groups.setdefault(data_of(job), []).append(job)
    for own in groups.values():
        if not of_images(own[0]):
            looked_at(own, root)


def of_images(job: Job) -> bool:
    """Whether a job's items are images."""
    return costs.dataset(job).form(job.group("data")).noun == IMAGES.noun


def looked_at(jobs: Sequence[Job], root: Path | None) -> Items:
    """The items of jobs on one dataset, decoded now unless they were before.

    Raises:
        UserError: a file that is missing or damaged, values that cannot be standardised, or a
            codebook with more codes than the train split has tokens; named.
    """
    items = costs.dataset(jobs[0]).load(jobs[0].group("data"), data_root(root))
    for job in jobs:
        tokens = len(items.train) * (costs.positions(job, items.form.size) or 1)
        if job.codebook_size > tokens:
            raise UserError(
                f"-K {job.codebook_size}: more codes than the {tokens:,} tokens of "
                f"{len(items.train):,} train {items.form.noun}; choose a smaller codebook"
            )
    return items
