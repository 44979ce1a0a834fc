"""All rows of one grid, read once, with the baselines that belong beside them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import pandas as pd

from collapsebench import quantities
from collapsebench.quantities import Quantity
from collapsebench.report import rows
from collapsebench.report.rows import Comparison, JobRow
from collapsebench.results import baselines, grids, tables
from collapsebench.results.baselines import Published
from collapsebench.results.folder import job_folder
from collapsebench.results.repeats import repeats
from collapsebench.results.runs import standing


class GridRows:
    """What was run and measured, by job, metric, split and protocol."""

    def __init__(
        self, grid: str, results: Path, given: Path | None = None, only_current: bool = True
    ):
        self.grid = grids.read(results, grid)
        self.paper = baselines.published(given)
        self.places = {"": results} | baselines.tags(given)  # where the rows of a job lie
        jobs = [JobRow(**rows.known(entry)) for entry in self.grid["jobs"]]
        jobs += [] if only_current else rows.older(jobs, tables.read(results, "runs"))
        self.runs = rows.table(results, "runs", jobs)
        lost = standing(results, {job.job_id for job in jobs}).lost
        self.jobs = rows.with_status(jobs, self.runs, lost)
        for tag, frozen in baselines.beside({job.comparison_id for job in jobs}, given).items():
            self.jobs += rows.frozen(self.jobs, frozen, tag)
        self.metrics = self.rows("metrics", self.jobs).fillna({"split": "", "protocol": ""})
        protocols = self.rows("protocols", self.jobs).to_dict("records")
        self.protocols = {row["protocol"]: row for row in protocols}
        cells = self.metrics[~self._of_each]
        self.copies = repeats(self.metrics)
        names = ("job_id", "metric", "split", "protocol", "value")
        columns = (cells[name].tolist() for name in names)  # a list is walked much faster
        self.values = {tuple(key): value for *key, value in zip(*columns, strict=True)}

    def rows(self, table: str, jobs: Sequence[JobRow]) -> pd.DataFrame:
        """The rows of a table that belong to these jobs, frozen ones from their baseline."""
        frames = []
        for tag, folder in self.places.items():
            own = [job for job in jobs if job.baseline == tag]
            if own or not tag:
                frames.append(rows.table(folder, table, own))
        return pd.concat([f for f in frames if len(f)] or frames[:1], ignore_index=True)

    @property
    def name(self) -> str:
        """The grid's name."""
        return str(self.grid["name"])

    def protocols_of(self, comparison: Comparison, metric: str) -> list[str]:
        """Ids of the protocols, or of the priors, under which a metric was measured."""
        return self._protocols.get((comparison.comparison_id, metric), [])

    @cached_property
    def _protocols(self) -> dict[tuple[str, str], list[str]]:
        columns = self.metrics[["comparison_id", "metric", "protocol"]].drop_duplicates()
        protocols: dict[tuple[str, str], list[str]] = defaultdict(list)
        for comparison, metric, protocol in sorted(columns.dropna().itertuples(index=False)):
            protocols[comparison, metric].append(protocol)
        return protocols

    def ceiling(self, comparison: Comparison, metric: str, split: str) -> float | None:
        """What even use of all codes would give; None where the rows do not say."""
        return self._ceilings.get((comparison.comparison_id, metric, split))

    @cached_property
    def _ceilings(self) -> dict[tuple[str, str, str], float]:
        keys = ["comparison_id", "metric", "split"]
        return dict(self.metrics.dropna(subset=["ceiling"]).groupby(keys)["ceiling"].max())

    def metric_label(self, metric: str, protocol: str) -> str:
        """The printed name of a distance under a protocol."""
        row = self.protocols.get(protocol)
        if row is None:
            return {"gfd": "FID or FD", "rfd": "rFID or rFD"}.get(metric, metric)
        return quantities.metric_label(metric, row["extractor"], bool(row["verified"]), row["name"])

    def rankable(self, protocol: str) -> bool:
        """Whether values under the protocol may be ranked; True where none applies."""
        row = self.protocols.get(protocol)
        return row is None or bool(row["rankable"])

    @cached_property
    def each(self) -> dict[tuple[str, str, str], list[float]]:
        """(job, metric, split) -> the values of each of several codebooks, the worst first."""
        rows = self.metrics[self._of_each]
        of_each: dict[tuple[str, str, str], list[float]] = defaultdict(list)
        columns = rows[["job_id", "metric", "split", "value"]]
        for job, name, split, value in columns.itertuples(index=False):
            of_each[job, name.removeprefix(quantities.EACH), split].append(value)
        return {
            key: sorted(values, reverse=not quantities.of(key[1]).larger)
            for key, values in of_each.items()
        }

    @cached_property
    def _of_each(self) -> pd.Series[bool]:
        """Which rows are of one of several codebooks."""
        return self.metrics["metric"].str.startswith(quantities.EACH)

    def error_of(self, dataset: str) -> Quantity:
        """What reconstructions of a dataset are judged by; of images, their MSE."""
        return self._errors.get(dataset, quantities.of("mse"))

    @cached_property
    def _errors(self) -> dict[str, Quantity]:
        rows = self.metrics[self.metrics["metric"].isin(quantities.ERRORS)]
        pairs = rows[["dataset", "metric"]].drop_duplicates().itertuples(index=False)
        return {dataset: quantities.of(metric) for dataset, metric in pairs}

    def undescribed(self, stage: str) -> list[str]:
        """Metrics of a stage that ``quantities`` has no record of."""
        rows = self.metrics[(self.metrics["stage"] == stage) & ~self._of_each]
        return [name for name in rows["metric"].unique() if name not in quantities.QUANTITIES]

    @property
    def of_several(self) -> str:
        """What a caption adds where a method has several codebooks, else nothing."""
        return " Of several codebooks the worst." if self.each else ""

    def published(self, job: JobRow, metric: str) -> Published | None:
        """The paper's number for a job's method as the paper ran it, None if it printed none.

        A metric with a setting in brackets is of jobs that vary it; others of untouched methods.
        """
        key = (job.method, job.dataset, job.codebook_size, job.code_dim, metric)
        printed = self.paper.get(key)
        own = "[" in metric or not job.settings_label
        return printed if printed and own and printed.network == job.network else None

    def file(self, job: JobRow, name: str) -> Path | None:
        """A file in the job's folder, None if it is not there."""
        path = job_folder(self.places[job.baseline], job.job_id) / name
        return path if path.is_file() else None
