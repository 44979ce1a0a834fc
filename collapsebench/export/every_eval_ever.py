"""Records of Every Eval Ever: one file per configuration, every metric over its seeds.

Format: evaleval/every_eval_ever, every_eval_ever/schemas/eval.schema.json, version 0.2.2, commit
21b3d1ab3894e9b9aaceca285548accfaa71b333.
"""

from __future__ import annotations

import json
import math
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from collapsebench import quantities
from collapsebench.quantities import Quantity
from collapsebench.results import disk, tables
from collapsebench.results.runs import last
from collapsebench.settings import UserError

SCHEMA = "0.2.2"
NAME = "collapsebench"
FACTS = ("method", "network", "dataset", "codebook_size", "code_dim", "scale", "config_id",
         "comparison_id")  # fmt: skip

EvalRecord = dict[str, Any]


def write(results: Path, out: Path, by: str) -> int:
    """Writes ``<out>/collapsebench/<method>/<config_id>/<uuid>.json`` each; returns their number.

    The file of a configuration has the same name each time.

    Raises:
        UserError: no rows of finished jobs.
    """
    written = 0
    for record in records(results, by):
        facts = record["model_info"]["additional_details"]
        name = uuid.uuid5(uuid.NAMESPACE_URL, record["evaluation_id"])
        place = out / NAME / facts["method"] / facts["config_id"]
        disk.write_json(place / f"{name}.json", record)
        written += 1
    if not written:
        raise UserError(f"no metrics of finished jobs in {results}")
    return written


def records(results: Path, by: str) -> Iterator[EvalRecord]:
    """One record per configuration that has metrics; ``by`` publishes them."""
    metrics, runs = tables.read(results, "metrics"), last(tables.read(results, "runs"))
    made = str(int(time.time()))
    for config_id, rows in metrics.groupby("config_id", sort=False):
        own = runs[runs["config_id"] == config_id]
        if len(own) and (scores := _scores(rows, own)):
            yield _record(rows.iloc[0], own, scores, by) | {"retrieved_timestamp": made}


def _record(first: pd.Series, runs: pd.DataFrame, scores: list[EvalRecord], by: str) -> EvalRecord:
    method = first["method"]
    shipped = Path(__file__).parent.parent.joinpath("methods", f"{method}.py").is_file()
    details = {name: str(first[name]) for name in FACTS} | {
        "seeds": json.dumps(sorted(int(seed) for seed in runs["seed"].dropna().unique())),
        "statuses": json.dumps({k: int(n) for k, n in runs["status"].value_counts().items()}),
    }
    return {
        "schema_version": SCHEMA,
        "evaluation_id": f"{NAME}/{method}/{first['config_id']}",
        "evaluation_timestamp": runs["finished_at"].max().isoformat(),
        "source_metadata": {
            "source_name": NAME,
            "source_type": "evaluation_run",
            "source_organization_name": by,
            "evaluator_relationship": "third_party" if shipped else "first_party",
        },
        "eval_library": {"name": NAME, "version": str(runs["package_version"].iloc[-1])},
        "model_info": {
            "name": f"{first['label']} {first['codebook_size']}×{first['code_dim']}",
            "id": f"{NAME}/{method}-{first['config_id']}",
            "additional_details": details,
        },
        "evaluation_results": scores,
    }


def _scores(rows: pd.DataFrame, runs: pd.DataFrame) -> list[EvalRecord]:
    """Metrics that have a better end, on the split that tables show, over finite seeds."""
    data = str(runs["data_hash"].dropna().iloc[-1]) if runs["data_hash"].notna().any() else ""
    found = []
    for (metric, protocol), group in rows.groupby(["metric", "protocol"], sort=False):
        quantity = quantities.of(metric)
        group = group[(group["split"] == quantity.split) & group["value"].map(math.isfinite)]
        group = group.drop_duplicates("seed", keep="last")
        if quantity.better and len(group):
            found.append(_score(quantity, protocol, group, data))
    return found


def _score(quantity: Quantity, protocol: str, rows: pd.DataFrame, data: str) -> EvalRecord:
    values, dataset = rows["value"], str(rows["dataset"].iloc[0])
    spread: EvalRecord = {"num_samples": len(values)}
    if len(values) > 1:
        deviation = float(values.std(ddof=1))
        error = {"value": deviation / math.sqrt(len(values)), "method": "analytic, over seeds"}
        spread |= {"standard_deviation": deviation, "standard_error": error}
    return {
        "evaluation_name": f"{NAME}.{dataset}.{quantity.split}",
        "source_data": {"dataset_name": dataset, "source_type": "other", "source_id": data},
        "metric_config": {
            "metric_id": quantity.name if quantity.name == "mse" else f"{NAME}.{quantity.name}",
            "metric_name": quantity.bare,
            "evaluation_description": quantity.definition,
            "lower_is_better": not quantity.larger,
            "additional_details": {"protocol": protocol},
        },
        "score_details": {
            "score": float(values.mean()),
            "uncertainty": spread,
            "details": {
                f"seed {s}": repr(float(v)) for s, v in zip(rows["seed"], values, strict=True)
            },
        },
    }
