"""What a job adds to the time of a report; the drawings cost the same for ten jobs as for many."""

import time

import pytest

from collapsebench import report
from tests.report import made_up, made_up_grids

JOBS = 1000
SECONDS = 10.0  # of processor time that a thousand jobs may take beyond what fifty take


def seconds(folder, seeds):
    """Processor seconds of a report over 50 cells, and its number of jobs."""
    grid = made_up_grids.sweep(folder / "r", methods=made_up.PAPER[:5], seeds=seeds, points=100)
    grid.write()
    started = time.process_time()
    report.build("codebook_size", folder / "r", folder / "o")
    return time.process_time() - started, sum(1 for _ in grid.jobs())


@pytest.mark.slow
def test_a_thousand_jobs_add_less_than_ten_seconds(tmp_path):
    few, jobs = seconds(tmp_path / "few", seeds=(0,))
    many, most = seconds(tmp_path / "many", seeds=tuple(range(JOBS // jobs)))
    assert most == JOBS
    assert many - few < SECONDS
