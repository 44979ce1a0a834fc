"""``python -m tests.speed [NAME ...]``: measures and writes ``tests/speed/results.json``.

With names only those files are measured anew; the others' rows stay, as do those of a file that
can measure nothing here.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

from collapsebench.results import disk, provenance

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"


def names() -> list[str]:
    """Every file here with rows to measure."""
    return sorted(p.stem for p in HERE.glob("*.py") if not p.stem.startswith("_"))


def main(chosen: list[str]) -> int:
    """Measures, prints and keeps; the exit code is 1 if a target was missed."""
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in chosen or names():
        rows = importlib.import_module(f"tests.speed.{name}").rows()
        if not rows:
            continue
        known[name] = {"where": where(), "rows": rows}
        for row in rows:
            print(
                f"{row['name']:<34} {row['value']:>12.4g} {row['unit']:<18} {verdict(row)}",
                flush=True,
            )
        disk.write_json(RESULTS, known)
    return 1 if any("missed" in verdict(r) for part in known.values() for r in part["rows"]) else 0


def where() -> dict[str, Any]:
    """The machine and versions of a measurement."""
    facts = provenance.facts()
    return {
        "processor": provenance.processor(),
        "cores": provenance.cores(),
        "versions": json.loads(facts["versions"]),
        "git_sha": facts["git_sha"],
    }


def verdict(row: dict[str, Any]) -> str:
    """Whether a row reaches its target; ``at_most`` targets are upper bounds."""
    if row.get("target") is None:
        return ""
    small = row.get("better") == "lower"
    met = row["value"] <= row["target"] if small else row["value"] >= row["target"]
    return f"target {'<=' if small else '>='} {row['target']:g}: {'met' if met else 'missed'}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
