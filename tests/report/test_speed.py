"""A report over a thousand jobs is a matter of seconds."""

import time

import pytest

from collapsebench import report
from tests.report import made_up

JOBS = 1000
SECONDS = 10.0  # of processor time, on an idle machine that adds ten million integers in half one
ADDITIONS, HALF = 10_000_000, 0.5


@pytest.mark.slow
def test_a_thousand_jobs_in_ten_seconds(tmp_path):
    grid = made_up.sweep(
        tmp_path / "r", methods=made_up.PAPER[:5], seeds=tuple(range(JOBS // 50)), points=100
    )
    assert sum(1 for _ in grid.jobs()) == JOBS
    grid.write()
    allowed = SECONDS * max(1.0, adding() / HALF)
    started = time.process_time()
    report.build("codebook_size", tmp_path / "r", tmp_path / "o")
    assert time.process_time() - started < allowed


def adding():
    """Processor seconds of a plain loop: how busy, or how slow, this machine is."""
    started, total = time.process_time(), 0
    for i in range(ADDITIONS):
        total += i
    return time.process_time() - started
