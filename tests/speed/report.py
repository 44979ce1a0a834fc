"""How long a report over a thousand jobs takes: 5 methods, 10 codebook sizes, 20 seeds."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from collapsebench import report
from tests.report import made_up, made_up_grids

SEEDS = range(20)


def rows() -> list[dict[str, str | float]]:
    """Seconds from rows on disk to a page with its tables and figures, in process."""
    with tempfile.TemporaryDirectory() as folder:
        grid = made_up_grids.sweep(
            Path(folder) / "r", methods=made_up.PAPER[:5], seeds=tuple(SEEDS), points=100
        )
        grid.write()
        jobs = sum(1 for _ in grid.jobs())
        start = time.perf_counter()
        report.build("codebook_size", Path(folder) / "r", Path(folder) / "o")
        taken = time.perf_counter() - start
    return [
        {"name": f"report/{jobs}_jobs", "device": "cpu", "value": taken, "unit": "s",
         "target": 10.0, "better": "lower"},
    ]  # fmt: skip


if __name__ == "__main__":
    print(*rows(), sep="\n")
