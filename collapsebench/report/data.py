"""The rows of one grid, arranged as tables and figures need them."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd

from collapsebench import metrics
from collapsebench.datasets import label as dataset_label
from collapsebench.report import kinds, rows
from collapsebench.report.grid_rows import GridRows
from collapsebench.report.group import Group
from collapsebench.report.palette import Look, looks
from collapsebench.report.rows import Comparison, JobRow, TableRow
from collapsebench.results.folder import job_folder

PAPER_CODEBOOK = (512, 16)


class ReportData(GridRows):
    """Rows of one grid as lines, columns and cells; every table and figure is built from these."""

    @cached_property
    def looks(self) -> dict[str, Look]:
        """How each method is drawn."""
        return looks(job.method for job in self.jobs)

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
        return {key: Group(self, jobs, key[1].code_dim) for key, jobs in cells.items()}

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
        """One comparison per dataset: of the paper's codebook, then of most methods measured.

        Of equals it is the one that trains longest.
        """
        methods = Counter(comparison for _, comparison in self.groups)
        first = {comparison: group.first for (_, comparison), group in self.groups.items()}
        measured = Counter(key[1] for key, group in self.groups.items() if group.count("done"))

        def rank(comparison: Comparison) -> tuple[bool, int, int, int]:
            size = comparison.codebook_size, comparison.code_dim
            counts = measured[comparison], methods[comparison]
            length = first[comparison].setting("train", "steps")
            return size == PAPER_CODEBOOK, *counts, length if isinstance(length, int) else 0

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

    def counts(self, group: Group, split: str = "test") -> np.ndarray:
        """Times each code was chosen, (seeds, Q, K), of a comparison in focus.

        Of each seed the codebook of the smallest perplexity comes first.
        """
        of_jobs = (self._counts.get((job.job_id, split), []) for job in group.jobs)
        size = group.first.codebook_size
        return np.array([own for own in of_jobs if own and {len(each) for each in own} == {size}])

    @cached_property
    def _counts(self) -> dict[tuple[str, str], list[np.ndarray]]:
        columns = self.rows("codes", self._shown)[["job_id", "split", "counts"]]
        counts_of: dict[tuple[str, str], list[np.ndarray]] = defaultdict(list)
        for job, split, counts in columns.itertuples(index=False):
            counts_of[job, split].append(counts)
        return {key: sorted(counts, key=metrics.perplexity) for key, counts in counts_of.items()}

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
