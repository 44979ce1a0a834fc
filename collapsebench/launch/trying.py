"""``collapsebench try``: a file of vectors or sequences, a dozen quantizers, a verdict.

The jobs are those of the grid ``try``, the tests those of every table. What is added: the data are
looked at before anything starts, a budget decides how long is trained, and the end is the best
group, the page and the settings to copy.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from collapsebench import report
from collapsebench.datasets import data_root
from collapsebench.launch import devices, inputs, start
from collapsebench.launch.launcher import Options
from collapsebench.plan import costs, registry
from collapsebench.plan import forecast as plans
from collapsebench.plan.forecast import Choice
from collapsebench.quantities import duration, of
from collapsebench.report import tables
from collapsebench.report.cells import ALIKE, mean, missing
from collapsebench.report.data import ReportData
from collapsebench.report.group import Group
from collapsebench.report.rows import Comparison, TableRow
from collapsebench.report.style import slug
from collapsebench.report.tables import Cell, Number, Part, Table, TableLine, plain
from collapsebench.report.views import table2
from collapsebench.results import provenance
from collapsebench.settings import UserError, console

GRID, DATASET = "try", "vectors"
BESIDE = {  # quantity -> its heading in a terminal
    "excess_error": "excess", "cosine_similarity": "cosine", "bits_per_item": "bits",
    "collision_rate": "collisions, %", "usage": "usage, %",
}  # fmt: skip
STEPS = (12_000, 6_000, 3_000, 1_500, 800, 400, 200)  # of a training; what a budget chooses from
START_S = 6.0  # seconds of a core that a job takes before its first step and after its last


Cells = list[tuple[TableRow, Group]]


@dataclass(frozen=True)
class Trial:
    """What is to be tried.

    Attributes:
        choice: methods, sizes, seeds and settings; grid, data and name are filled in.
        budget_s: seconds that all may take; None = as long as the grid's scale says.
        out: folder for reports.
    """

    source: str
    choice: Choice
    budget_s: float | None
    results: Path
    out: Path


def run(trial: Trial, options: Options) -> int:
    """Plans within the budget, runs what is missing, says who is best; returns the exit code.

    Raises:
        UserError: data that cannot be used, fewer tokens than codes, or a budget that is too short.
    """
    choice = with_data(trial.source, trial.choice)
    looked_at(choice)
    choice = within(trial.budget_s, choice, trial.results, options)
    said = command(choice)
    code = start.run(choice, trial.results, options, said)
    if code in (0, 1):
        page = report.build(choice.name, trial.results, trial.out)
        for line in verdict(ReportData(choice.name, trial.results), page, said):
            print(line)
    return code


def with_data(source: str, choice: Choice) -> Choice:
    """The grid ``try`` on a file, or on a dataset by its name."""
    name = f"{GRID}-{slug(Path(source).stem)}"
    choice = replace(choice, grid=GRID, name=name)
    if source in registry.names("datasets") or source.endswith(".py"):
        return replace(choice, datasets=(source,))
    path = Path(source).expanduser().absolute()
    return replace(choice, datasets=(DATASET,), set=(f"data.path={path}", *choice.set))


def looked_at(choice: Choice) -> None:
    """Reads the data once, before anything is queued, and says what they are.

    Raises:
        UserError: images, or as ``inputs.looked_at``.
    """
    _, jobs = choice.jobs()
    dataset, settings = costs.dataset(jobs[0]), jobs[0].group("data")
    if inputs.of_images(jobs[0]):
        raise UserError(f"{dataset.label} are images: collapsebench run -d {dataset.name}")
    print(inputs.looked_at(jobs, choice.data_root).held)
    for note in dataset.notes(settings, data_root(choice.data_root)):
        print(note)


def within(budget_s: float | None, choice: Choice, results: Path, options: Options) -> Choice:
    """The choice with the longest training of ``STEPS`` that the budget has time for; says which.

    Without a budget, and where the user set the steps, it stays as it is.

    Raises:
        UserError: there is no time for the shortest.
    """
    if budget_s is None or any(text.startswith("train.steps=") for text in choice.set):
        return choice
    for steps in STEPS:
        lengths = (f"train.steps={steps}", f"train.horizon={steps}")
        longer = replace(choice, set=(*choice.set, *lengths))
        needed = seconds(longer, results, options)
        if needed <= budget_s:
            print(f"budget {duration(budget_s)}: {steps:,} steps each, about {duration(needed)}")
            return longer
    raise UserError(
        f"--budget: {STEPS[-1]} steps of every job take about {duration(needed)}; give more time, "
        "or fewer methods (-m), sizes (-K, -D) or seeds (--seeds)"
    )


def seconds(choice: Choice, results: Path, options: Options) -> float:
    """How long what is missing of a choice will take on this machine."""
    grid, jobs = choice.jobs()
    device = devices.kind(options.gpus)
    plan = plans.plan(grid, jobs, results, device, choice.data_root)
    at_once = options.slots or len(options.gpus) or min(4, provenance.cores())
    return 3600 * plan.total_hours + START_S * plan.missing.get("train", 0) / at_once


def command(choice: Choice) -> list[str]:
    """The same jobs as a ``run`` in words."""
    words = ["collapsebench", "run", "--grid", choice.grid]
    axes = {"-m": choice.methods, "-n": choice.networks, "-d": choice.datasets, "-s": choice.seeds,
            "--set": choice.set}  # fmt: skip
    words += [
        word for flag, values in axes.items() for each in values for word in (flag, str(each))
    ]
    for flag, sizes in (("-K", choice.codebook_sizes), ("-D", choice.code_dims)):
        words += [flag, ",".join(map(str, sizes))] if sizes else []
    return words


def verdict(data: ReportData, page: Path, said: Sequence[str]) -> Iterator[str]:
    """What to print at the end: a table of each codebook, its best, the page, settings to copy."""
    judged = table2.build(data)
    for comparison in data.comparisons:
        best, alike = standing(data, judged, comparison)
        console().print(tables.to_terminal(summary(data, comparison, best, alike)))
        yield in_words(best, alike)
        for variant, group in best or alike[:1]:
            yield f"    {variant.label}: {to_copy(group)}"
    yield f"report: {page}"
    yield f"the same jobs: {shlex.join(said)}"


def standing(
    data: ReportData, judged: Sequence[Table], comparison: Comparison
) -> tuple[Cells, Cells]:
    """The best of a comparison and what can't be told from them, as the tables of errors mark."""
    best: Cells = []
    alike: Cells = []
    for table in judged:
        if comparison.label in table.columns:
            column = table.columns.index(comparison.label)
            cells = {line.label: line.cells[column] for line in table.rows}
            for variant, group in data.column(comparison):
                cell = cells[data.row_label(variant, data.comparisons)]
                best += [(variant, group)] if cell.bold else []
                alike += [(variant, group)] if cell.mark else []
    return by_error(data, best), by_error(data, alike)


def by_error(data: ReportData, cells: Cells) -> Cells:
    """The smallest mean error first; what has none comes last."""

    def error(cell: tuple[TableRow, Group]) -> float:
        group = cell[1]
        name = data.error_of(group.first.dataset).name
        values = group.values(name, "test").values()
        return sum(values) / len(values) if values else math.inf

    return sorted(cells, key=error)


def summary(data: ReportData, comparison: Comparison, best: Cells, alike: Cells) -> Table:
    """Methods by error, marked as in all tables: what each loses and costs."""
    error, *others = (data.error_of(comparison.dataset), *map(of, BESIDE))
    rows = []
    for variant, group in by_error(data, list(data.column(comparison))):
        values = {q: q.printed(group.values(q.name, q.split).values()) for q in (error, *others)}
        first = mean(values[error], error.decimals) or missing(group)
        mark = ALIKE if (variant, group) in alike else ""
        cells = [Cell({"error": first}, bold=(variant, group) in best, mark=mark)]
        cells += [plain(_average(values[q], q.decimals)) for q in others]
        rows.append(TableLine(data.row_label(variant, [comparison]), cells, variant.look))
    heads = ["error", *BESIDE.values()]
    kept = [i for i in range(len(heads)) if any(str(row.cells[i].main) != "–" for row in rows)]
    lines = [replace(row, cells=[row.cells[i] for i in kept]) for row in rows]
    caption = f"{error.title.capitalize()} ± SD; all means over seeds. Floors are not ranked."
    return Table("try", comparison.label, caption, "method", [heads[i] for i in kept], lines)


def _average(values: Sequence[float], decimals: int) -> Part:
    return Number(sum(values) / len(values), None, decimals) if values else "–"


def in_words(best: Cells, alike: Cells) -> str:
    """The best, and what can't be told from them: "best: A, B; can't tell from the best: C"."""
    names = [", ".join(variant.label for variant, _ in cells) for cells in (best, alike)]
    if not best:
        return f"can't tell which is best: {names[1] or 'nothing was measured'}"
    return f"best: {names[0]}" + (f"; can't tell from the best: {names[1]}" if alike else "")


def to_copy(group: Group) -> str:
    """The settings of a cell as ``--set`` takes them, and how its first model is loaded."""
    job = group.first
    chosen = {
        f"{name}.{key}": value
        for name, kind in ((job.method, "method"), (job.network, "network"))
        for key, value in job.settings.get(kind, {}).items()
    }
    values = {"codebook_size": job.codebook_size, "code_dim": job.code_dim} | chosen
    words = " ".join(f"{key}={json.dumps(value)}" for key, value in values.items())
    return f'{words}; collapsebench.load("{job.job_id}")'
