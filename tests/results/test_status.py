"""Where jobs stand, as files say it; and what may be removed."""

import json
from dataclasses import asdict

import pytest

from collapsebench.cli import status as said
from collapsebench.results import claims, disk, gc, status, tables
from collapsebench.settings import UserError


@pytest.fixture
def grid(tiny_job, tmp_path):
    """(results, two jobs) of a grid of which nothing was run."""
    jobs = [tiny_job(seed=1), tiny_job(seed=2)]
    for job in jobs:
        job.queue(tmp_path)
    disk.write_json(tmp_path / "grids" / "g.json", {"jobs": [asdict(job) for job in jobs]})
    return tmp_path, jobs


def finish(results, job, *stages):
    for stage in stages:
        name = f"{job.job_id}.{stage}.{job.stage_ids[stage]}.done"
        tables.write(results, "runs", name, [job.key(stage) | {"status": "done"}])


def states(results):
    return [row["status"] for row in status.status(results, "g")]


def test_a_job_is_what_its_files_say(grid):
    results, (first, second) = grid
    assert states(results) == ["queued", "queued"]
    finish(results, first, "train", "encode")
    words = {"stage": "train", "status": "error", "message": "it broke"}
    disk.write_json(results / "jobs" / second.job_id / "status.json", words)
    assert states(results) == ["done", "error"]
    with claims.Claim(results / "jobs" / second.job_id):
        assert states(results) == ["done", "running"]


def test_watching_without_a_terminal_prints_each_job_and_ends(grid, capsys):
    said.watch(grid[0], "g")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].endswith("seed 1: queued 0/2 ")


def test_a_log_is_found_by_how_its_job_begins(grid, capsys):
    results, (first, second) = grid
    (results / "jobs" / first.job_id / "log.txt").write_text("train begins\n\x1b[2J\ta\n")
    said.print_log(results, first.job_id[:6], follow=True)  # nobody works on it: ends
    assert capsys.readouterr().out == "train begins\n\\x1b[2J    a\n"
    with pytest.raises(UserError, match="was not started yet"):
        said.print_log(results, second.job_id, follow=False)
    with pytest.raises(UserError, match="no job begins with 'xyz'"):
        status.find(results, "xyz")
    with pytest.raises(UserError, match="more than one job begins with ''"):
        status.find(results, "")
    with pytest.raises(UserError, match="no job begins with '/etc'"):
        status.find(results, "/etc")


def test_gc_removes_only_what_complete_jobs_can_make_again(grid):
    results, (first, second) = grid
    finish(results, first, "train", "encode")
    names = ["model.safetensors", "samples.npy", "prior.safetensors", "tokens-test.npy", "log.txt"]
    for job in (first, second):
        for name in names:
            (results / "jobs" / job.job_id / name).write_bytes(bytes(1_000_000))
    would = gc.gc(results, "g", ("model", "tokens"), dry_run=True)
    assert would == "would free 2.0 MB: 2 files of 1 complete jobs"
    assert gc.gc(results, "g", ("model", "tokens"), dry_run=False).startswith("freed 2.0")
    left = {p.name for p in (results / "jobs" / first.job_id).iterdir()}
    assert left == {"job.json", "few_digits.py", "model.safetensors", "tokens-test.npy", "log.txt"}
    assert {p.name for p in (results / "jobs" / second.job_id).iterdir()} >= set(names)
    assert len(tables.read(results, "runs")) == 2
    with pytest.raises(UserError, match="did you mean 'model'"):
        gc.gc(results, "g", ("models",), dry_run=True)


def test_a_grid_that_was_not_run_is_named(grid):
    with pytest.raises(UserError, match="grid 'h' was not run"):
        status.status(grid[0], "h")
    assert json.loads((grid[0] / "grids" / "g.json").read_text())["jobs"]
