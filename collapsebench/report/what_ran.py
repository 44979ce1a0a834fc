"""What ran, in words: printed under a page's title and with every table and figure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from collapsebench.datasets import label as dataset_label
from collapsebench.report.data import ReportData
from collapsebench.report.rows import Comparison, thousands

MOST_SEEDS = 5  # that are named; of more their number is said


def what_ran(data: ReportData, comparisons: Sequence[Comparison] = ()) -> str:
    """What was trained, in these columns or in all: data, sizes, steps, seeds, networks."""
    columns = comparisons or data.comparisons
    ids = {comparison.comparison_id for comparison in columns}
    jobs = [job for job in data.jobs if job.comparison_id in ids]
    steps = sorted({n for job in jobs if (n := job.setting("train", "steps")) is not None})
    seeds, networks = sorted({j.seed for j in jobs}), sorted({j.network for j in jobs})
    words = [
        ", ".join(dict.fromkeys(dataset_label(column.dataset) for column in columns)),
        "K = " + _listed(sorted({column.codebook_size for column in columns})),
        "D = " + _listed(sorted({column.code_dim for column in columns})),
        f"{_listed(steps)} steps" if steps else "",
        _seeds(seeds),
        f"network{'s' if len(networks) > 1 else ''} {', '.join(networks)}",
    ]
    return " · ".join(filter(None, words))


def _seeds(seeds: Sequence[int]) -> str:
    if len(seeds) > MOST_SEEDS:
        return f"{len(seeds)} seeds"
    return f"seed{'s' if len(seeds) > 1 else ''} {_listed(seeds)}"


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(thousands, numbers))
