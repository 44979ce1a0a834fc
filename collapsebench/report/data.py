"""All rows of one grid, read once and arranged as tables and figures need them."""

from __future__ import annotations

import math
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd

from collapsebench import metrics, quantities
from collapsebench.datasets import label as dataset_label
from collapsebench.quantities import Quantity
from collapsebench.report import kinds, rows
from collapsebench.report.palette import Look, looks
from collapsebench.report.rows import JobRow
from collapsebench.results import baselines, grids, tables
from collapsebench.results.baselines import Published
from collapsebench.results.folder import job_folder
from collapsebench.results.repeats import repeats
from collapsebench.results.runs import standing

PAPER_CODEBOOK = (512, 16)


@dataclass(frozen=True)
class TableRow:
    """A row of a table: a method, on a network, with its settings."""

    method: str
    label: str
    kind: str
    network: str
    look: Look
    baseline: str = ""


@dataclass(frozen=True)
class Comparison:
    """A column of a table: everything but the method is equal in it."""

    comparison_id: str
    dataset: str
    codebook_size: int
    code_dim: int
    label: str


class Group:
    """The jobs of one table cell: the same configuration, several seeds."""

    def __init__(self, data: ReportData, jobs: Sequence[JobRow]):
        self.data = data
        self.jobs = sorted(jobs, key=lambda job: job.seed)

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
        tied = own != self.data.comparison(self.first).code_dim
        return own if tied and not self.count("incompatible") else None


class ReportData:
    """What the rows say about one grid; every table and figure is built from this alone."""

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
        self.looks = looks(job.method for job in self.jobs)

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

    @cached_property
    def comparisons(self) -> list[Comparison]:
        """Columns, in the grid's order; several sizes or trainings of a dataset are told apart."""
        first = {job.comparison_id: job for job in reversed(self.jobs)}
        dims = rows.grid_dims(self.jobs)
        jobs = [
            replace(first[i], code_dim=dims[i])
            for i in dict.fromkeys(job.comparison_id for job in self.jobs)
        ]
        sizes = {(job.codebook_size, job.code_dim) for job in jobs}
        names = []
        for job in jobs:
            size = f" {job.codebook_size}\u00a0×\u00a0{job.code_dim}" if len(sizes) > 1 else ""
            names.append(dataset_label(job.dataset) + size)
        return [
            Comparison(job.comparison_id, job.dataset, job.codebook_size, job.code_dim, label)
            for job, label in zip(jobs, rows.told_apart(jobs, names), strict=True)
        ]

    @cached_property
    def groups(self) -> dict[tuple[TableRow, Comparison], Group]:
        """Cells: jobs of one configuration, one data hash and one precision."""
        columns = {c.comparison_id: c for c in self.comparisons}
        cells: dict[tuple[TableRow, Comparison], list[JobRow]] = defaultdict(list)
        for job in self.jobs:
            cells[self.variant(job), columns[job.comparison_id]].append(job)
        return {key: Group(self, jobs) for key, jobs in cells.items()}

    @cached_property
    def variants(self) -> list[TableRow]:
        """Rows: users' methods, the paper's six in its order, modern ones, floors."""
        variants = dict.fromkeys(variant for variant, _ in self.groups)
        return sorted(variants, key=lambda variant: kinds.place(variant.kind, variant.method))

    def row_label(self, variant: TableRow, comparisons: Iterable[Comparison]) -> str:
        """A method's label, with the code dimensions of its own that it has in these columns."""
        cells = (self.groups.get((variant, comparison)) for comparison in comparisons)
        dims = sorted({cell.own_dim for cell in cells if cell and cell.own_dim})
        if not dims:
            return variant.label
        words = ", ".join(map(str, dims)) if len(dims) < 4 else f"{dims[0]} … {dims[-1]}"
        return f"{variant.label} (D = {words})"

    def comparison(self, job: JobRow) -> Comparison:
        """The column that a job belongs to."""
        return next(c for c in self.comparisons if c.comparison_id == job.comparison_id)

    def variant(self, job: JobRow) -> TableRow:
        """The row that a job belongs to."""
        label = self._variant_labels[job.config_id, job.made_of, job.baseline]
        lines = self._variant_lines[job.method]
        look = self.looks[job.method].variant(lines.index(label), len(lines))
        return TableRow(job.method, label, job.kind, job.network, look, job.baseline)

    @cached_property
    def _variant_labels(self) -> dict[tuple[str, str, str], str]:
        """What tells configurations of a comparison apart, added to the label as far as needed."""
        keyed = {(job.config_id, job.made_of, job.baseline): job for job in self.jobs}
        networks: dict[str, set[str]] = defaultdict(set)
        for job in self.jobs:
            networks[job.method].add(job.network)
        names = {}
        for key, job in keyed.items():
            on = f" on {job.network}" if len(networks[job.method]) > 1 else ""
            names[key] = f"{job.label} {job.settings_label}".strip() + on
        taken: dict[tuple[str, str], list[tuple[str, str, str]]] = defaultdict(list)
        for key, job in keyed.items():
            taken[names[key], job.comparison_id].append(key)
        for keys in taken.values():
            for key in keys if len(keys) > 1 else []:
                names[key] += f" [{key[0][:4]}{' ' + key[1] if key[1] else ''}]"
        return names

    @cached_property
    def _variant_lines(self) -> dict[str, list[str]]:
        lines: dict[str, list[str]] = defaultdict(list)
        for job in self.jobs:
            label = self._variant_labels[job.config_id, job.made_of, job.baseline]
            if label not in lines[job.method]:
                lines[job.method].append(label)
        return lines

    @cached_property
    def focus(self) -> list[Comparison]:
        """One comparison per dataset: of the paper's codebook, then of most methods measured."""
        methods = Counter(comparison for _, comparison in self.groups)
        measured = Counter(key[1] for key, group in self.groups.items() if group.count("done"))

        def rank(comparison: Comparison) -> tuple[bool, int, int]:
            size = comparison.codebook_size, comparison.code_dim
            return size == PAPER_CODEBOOK, measured[comparison], methods[comparison]

        datasets = dict.fromkeys(comparison.dataset for comparison in self.comparisons)
        return [max((c for c in self.comparisons if c.dataset == d), key=rank) for d in datasets]

    def column(self, comparison: Comparison) -> Iterator[tuple[TableRow, Group]]:
        """Methods and their cells of one comparison."""
        for variant in self.variants:
            if group := self.groups.get((variant, comparison)):
                yield variant, group

    def leading(self, comparison: Comparison) -> list[tuple[TableRow, Group]]:
        """One cell per method: with its default settings where it has them, else its first."""
        leaders: dict[str, tuple[TableRow, Group]] = {}
        for variant, group in self.column(comparison):
            kept = leaders.setdefault(variant.method, (variant, group))
            if kept[1].first.settings_label and not group.first.settings_label:
                leaders[variant.method] = variant, group
        return list(leaders.values())

    def scored(self) -> list[tuple[Comparison, str]]:
        """Columns of distances: a comparison under one protocol each, "" if nothing is scored."""
        columns = []
        for comparison in self.comparisons:
            ids = [p for p in self.protocols_of(comparison, "rfd") if p in self.protocols]
            columns += [(comparison, protocol) for protocol in ids or [""]]
        return columns

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

    def published(self, job: JobRow, metric: str) -> Published | None:
        """The paper's number for a job's method as the paper ran it, None if it printed none.

        A metric with a setting in brackets is of jobs that vary it; others of untouched methods.
        """
        key = (job.method, job.dataset, job.codebook_size, job.code_dim, metric)
        printed = self.paper.get(key)
        own = "[" in metric or not job.settings_label
        return printed if printed and own and printed.network == job.network else None

    def paper_split(self, comparison: Comparison) -> str | None:
        """The split that the paper's numbers for a comparison are of, None if it has none."""
        key = (comparison.dataset, comparison.codebook_size, comparison.code_dim)
        printed = (p for k, p in self.paper.items() if k[1:4] == key)
        return next((p.split for p in printed), None)

    def curve(self, group: Group, metric: str) -> tuple[np.ndarray, np.ndarray]:
        """Steps (n,) and values (seeds, n) of a logged quantity of a comparison in focus.

        Only steps that all seeds have.
        """
        of_jobs = [self._curves.get((job.job_id, metric)) for job in group.jobs]
        curves = [curve for curve in of_jobs if curve is not None]
        if not curves:
            return np.empty(0), np.empty((0, 0))
        steps = sorted(set.intersection(*(set(curve) for curve in curves)))
        return np.array(steps), np.array([[curve[s] for s in steps] for curve in curves])

    @cached_property
    def _shown(self) -> list[JobRow]:
        """The jobs of the comparisons in focus."""
        shown = {comparison.comparison_id for comparison in self.focus}
        return [job for job in self.jobs if job.comparison_id in shown]

    @cached_property
    def curves(self) -> pd.DataFrame:
        """What was logged along training, of the comparisons in focus."""
        return self.rows("curves", self._shown)

    @cached_property
    def _curves(self) -> dict[tuple[str, str], dict[int, float]]:
        curves: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
        columns = (self.curves[name].tolist() for name in ("job_id", "metric", "step", "value"))
        for job, metric, step, value in zip(*columns, strict=True):
            curves[job, metric][step] = value
        return curves

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

    def counts(self, group: Group, split: str = "test") -> np.ndarray:
        """Times each code was chosen, (seeds, Q, K), of a comparison in focus.

        Of each seed the codebook of the smallest perplexity comes first.
        """
        of_jobs = [
            self._counts[j.job_id, split] for j in group.jobs if (j.job_id, split) in self._counts
        ]
        return np.array(of_jobs)

    @cached_property
    def _counts(self) -> dict[tuple[str, str], list[np.ndarray]]:
        columns = self.rows("codes", self._shown)[["job_id", "split", "counts"]]
        counts_of: dict[tuple[str, str], list[np.ndarray]] = defaultdict(list)
        for job, split, counts in columns.itertuples(index=False):
            counts_of[job, split].append(counts)
        return {key: sorted(counts, key=metrics.perplexity) for key, counts in counts_of.items()}

    def file(self, job: JobRow, name: str) -> Path | None:
        """A file in the job's folder, None if it is not there."""
        path = job_folder(self.places[job.baseline], job.job_id) / name
        return path if path.is_file() else None

    def command(self, comparison: Comparison, methods: Iterable[str]) -> str:
        """What to type to measure these methods of a comparison."""
        chosen = [word for method in dict.fromkeys(methods) for word in ("-m", self._word(method))]
        return f"{self.grid['command']} {shlex.join(['-d', comparison.dataset, *chosen])}"

    def _word(self, method: str) -> str:
        """What stands for a method on the command line: its name, or the path of a user's file.

        The path is that of the grid's own command, else of a job's copy.
        """
        file = f"{method}.py"
        typed = [w.rpartition("=")[2] for w in _words(self.grid["command"])]
        copies = (
            job_folder(self.places[""], job.job_id) / file
            for job in self.jobs
            if job.method == method and not job.baseline
        )
        paths = [word for word in typed if Path(word).name == file]
        return next(chain(paths, (str(copy) for copy in copies if copy.is_file())), method)

    def cells(self) -> Iterator[tuple[TableRow, Comparison, Group]]:
        """Every cell, by row and column."""
        for variant in self.variants:
            for comparison in self.comparisons:
                if group := self.groups.get((variant, comparison)):
                    yield variant, comparison, group


def _words(command: str) -> list[str]:
    """The words of a command line; none of one that nobody could type."""
    try:
        return shlex.split(command)
    except ValueError:
        return []
