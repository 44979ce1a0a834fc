"""A cell of a table: the seeds of one configuration, and what they measured."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from collapsebench.report.grid_rows import GridRows
from collapsebench.report.rows import JobRow


class Group:
    """The jobs of one table cell: the same configuration, several seeds."""

    def __init__(self, data: GridRows, jobs: Sequence[JobRow], code_dim: int):
        self.data = data
        self.jobs = sorted(jobs, key=lambda job: job.seed)
        self.code_dim = code_dim  # of the comparison

    def values(self, metric: str, split: str, protocol: str = "") -> dict[int, float]:
        """Seed -> value, of the seeds that have a finite one; a training counts once."""
        values = {}
        for job in self.jobs:
            if job.job_id in self.data.copies:
                continue
            value = self.data.values.get((job.job_id, metric, split, protocol))
            if value is not None and np.isfinite(value):
                values[job.seed] = value
        return values

    def each(self, metric: str, split: str = "test") -> np.ndarray:
        """A metric of every codebook, (seeds, Q), each seed's worst codebook first."""
        of_jobs = [self.data.each.get((job.job_id, metric, split)) for job in self.jobs]
        several = [values for values in of_jobs if values is not None]
        return np.array(several or [[value] for value in self.values(metric, split).values()])

    @property
    def codebooks(self) -> int:
        """Q, as far as rows tell: 1 before there are any."""
        of_each = self.each("perplexity")
        return of_each.shape[1] if of_each.size else 1

    @property
    def choices(self) -> int:
        """What a position can be: K to the power of Q."""
        return self.first.codebook_size**self.codebooks

    @property
    def bits(self) -> float:
        """Bits per position: the sum over codebooks of log2 K."""
        return math.log2(self.choices)

    def count(self, *statuses: str) -> int:
        """How many seeds ended so."""
        return sum(job.status in statuses for job in self.jobs)

    @property
    def copies(self) -> int:
        """How many jobs repeat another's training."""
        return sum(job.job_id in self.data.copies for job in self.jobs)

    @property
    def collapsed(self) -> int:
        """How many seeds collapsed, on the test split."""
        return sum(value > 0 for value in self.values("collapsed", "test").values())

    @property
    def first(self) -> JobRow:
        """The job of the smallest seed; all agree in everything but the seed."""
        return self.jobs[0]

    @property
    def devices(self) -> set[str]:
        """Names of the devices that the seeds ran on."""
        return {job.device for job in self.jobs if job.device}

    @property
    def reason(self) -> str:
        """The first message of a seed that did not finish."""
        return next((job.message for job in self.jobs if job.message), "")

    @property
    def own_dim(self) -> int | None:
        """The code dimension that the method ties to the codebook size.

        None where it has the grid's, or cannot have that size.
        """
        own = self.first.code_dim
        tied = own != self.code_dim
        return own if tied and not self.count("incompatible") else None
