"""Level 3: the rows of grids against the numbers that the paper prints."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from collapsebench import quantities, stats
from collapsebench.check import select
from collapsebench.check.verdicts import MISSING, OK, UNSURE, WORSE, Finding
from collapsebench.results import baselines, grids, tables
from collapsebench.results.baselines import Published

PRINTED = {record.published: record for record in quantities.RECORDS if record.published}
PARTS = {"cifar10_5k": "cifar10"}  # datasets whose images are some of a printed dataset's
VERDICTS = {"reproduced": OK, "differs": WORSE, "inconclusive": UNSURE}

Jobs = list[Mapping[str, Any]]


def run(results: Path, grid: str | None = None, given: Path | None = None) -> list[Finding]:
    """One finding per printed number that a grid run in ``results`` has a job for.

    Raises:
        UserError: the named grid was not run there, or its record is damaged.

    Warns:
        UserWarning: for each grid whose record is damaged, where none is named.
    """
    records = [grids.read(results, grid)] if grid else grids.every(results)
    jobs = {job["job_id"]: job for record in records for job in record["jobs"]}
    cells: dict[tuple[Any, ...], Jobs] = defaultdict(list)
    for job in jobs.values():
        key = ("method", "dataset", "codebook_size", "code_dim", "network", "config_id")
        cells[tuple(job[name] for name in key)].append(job)
    metrics = select.current(tables.read(results, "metrics", jobs=set(jobs)), jobs.values())
    metrics = metrics[metrics["protocol"].isin(["", *full_protocols(results)])]
    findings = [
        finding(seeds, metric, published, metrics)
        for (*place, metric), published in baselines.published(given).items()
        for (*here, network, _), seeds in cells.items()
        if stands_for(here) == place
        and network == published.network
        and trained_so(seeds[0], metric)
    ]
    return findings or [Finding(3, "paper", MISSING, f"nothing in {results} has a printed number")]


def stands_for(here: list[Any]) -> list[Any]:
    """The printed numbers' method, dataset and sizes that those of a job are looked at beside."""
    method, dataset, *sizes = here
    return [method, PARTS.get(dataset, dataset), *sizes]


def full_protocols(results: Path) -> list[str]:
    """Ids of the protocols under which a distance may be called FID."""
    rows = tables.read(results, "protocols").drop_duplicates("protocol")
    return [
        row["protocol"]
        for row in rows.to_dict("records")
        if quantities.metric_label("gfd", row["extractor"], bool(row["verified"]), row["name"])
        == "FID"
    ]


def trained_so(job: Mapping[str, Any], metric: str) -> bool:
    """Whether a job has the setting in a printed metric's brackets, "clamp=10", and no other."""
    varied = re.search(r"\[(\w+)=(.*)\]", metric)
    if varied is None:
        return not job["settings_label"]
    name, value = varied.groups()
    alone = job["settings_label"] in ("", f"{name}={value}")
    return alone and float(job["settings"]["method"].get(name, "nan")) == float(value)


def finding(seeds: Jobs, metric: str, published: Published, metrics: pd.DataFrame) -> Finding:
    """What the seeds of one cell say about one printed number."""
    job = seeds[0]
    quantity = PRINTED[metric.partition("[")[0]]
    split = quantity.split if quantity.scored else published.split
    rows = metrics[
        metrics["job_id"].isin([seed["job_id"] for seed in seeds])
        & (metrics["metric"] == quantity.name)
        & (metrics["split"] == split)
        & ((metrics["protocol"] != "") == quantity.scored)
    ]
    values = quantity.printed(float(v) for v in rows["value"] if np.isfinite(v))
    size = f"{job['codebook_size']}×{job['code_dim']}"
    subject = f"{job['label']} · {job['dataset']} · {size} · {metric} ({published.source})"
    other = [f"other data (a part of {PARTS[job['dataset']]})"] if job["dataset"] in PARTS else []
    other += filter(None, [baselines.apart(job["settings"], job["network"])])
    return Finding(3, subject, *verdict(values, published, ", ".join(other)))


def verdict(
    values: list[float], published: Published, other: str
) -> tuple[str, str, dict[str, Any]]:
    """(verdict, reason, numbers) of measured values beside a printed one.

    ``other``: what sets the jobs apart from the paper's, "" if nothing.
    """
    facts = {"new": values, "paper": published.mean}
    if not values:
        return MISSING, "no row with this number", facts
    text = f"{summary(values)} beside {published.mean:g}{spread(published)}"
    if other:
        return UNSURE, f"{text}: {other}, so the difference is no verdict", facts
    if published.sd is None:
        return UNSURE, f"{text}: printed without a spread", facts
    word = stats.verdict_against_paper(values, published.mean, published.sd, published.n_seeds)
    return VERDICTS[word], f"{text}: {word}", facts


def summary(values: list[float]) -> str:
    """Mean and sample SD: "412.1 ± 3.2 (3 seeds)"."""
    sd = f" ± {np.std(values, ddof=1):.3g}" if len(values) > 1 else ""
    return f"{np.mean(values):.4g}{sd} ({len(values)} seed{'s' if len(values) > 1 else ''})"


def spread(published: Published) -> str:
    """The printed spread as a sample SD, the ddof of the print put right."""
    if published.sd is None or published.n_seeds < 2:
        return ""
    sd = stats.from_population_sd(published.sd, published.n_seeds)
    return f" ± {sd:.3g} (printed ± {published.sd:g}, ddof 0)"
