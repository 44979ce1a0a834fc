"""What a run shows: jobs, perplexity / K, COLLAPSED, and the time left before a first job ends."""

import dataclasses
import io
import json
import time

import pytest
from rich.console import Console

from collapsebench.launch import ahead, board
from collapsebench.launch.ahead import Ahead
from collapsebench.launch.board import Board
from collapsebench.launch.tasks import Task, tasks
from collapsebench.plan import costs
from collapsebench.quantities import live
from collapsebench.results.folder import PROGRESS
from tests.conftest import ALL

HEALTHY = {"mse": 0.00421, "relative_perplexity": 0.456, "collapsed": 0.0, "perplexity": 7.3}
COLLAPSED = HEALTHY | {"relative_perplexity": 0.042, "collapsed": 1.0}


@pytest.fixture
def two_jobs(tiny_job, tmp_path):
    """Two jobs of five stages: four tasks."""
    return tasks([tiny_job(seed=seed, stages=ALL) for seed in (1, 2)], tmp_path)


def say(results, job, stage, done, total, values):
    state = {"stage": stage, "done": done, "total": total, "values": values}
    (job.queue(results) / PROGRESS).write_text(json.dumps(state))


def lines(capsys):
    return capsys.readouterr().out.splitlines()


def test_jobs_are_counted_not_their_tasks(two_jobs, tmp_path, capsys):
    first, second, first_later, _ = two_jobs
    shown = Board(two_jobs, tmp_path, Ahead(two_jobs, tmp_path, (), 2))
    say(tmp_path, first.job, "encode", 3, 3, COLLAPSED)
    shown.on_end(first, "done", more=True)
    shown.on_end(second, "error, will be tried again", more=True)
    say(tmp_path, first.job, "score", 9, 9, {})
    shown.on_end(first_later, "done", more=False)
    shown.on_end(second, "error", more=False)
    numbers = "COLLAPSED, perplexity / K 4.2 %, mse 0.00421"
    said = [line.replace(first.job.dataset, "data") for line in lines(capsys)]
    label = "VQ-VAE data 16×4 seed"
    assert said == [
        f"[0/2] {label} 1 encode done: {numbers}",
        f"[0/2] {label} 2 error, will be tried again",
        f"[1/2] {label} 1 done: {numbers}",  # a score has no such numbers of its own
        f"[2/2] {label} 2 error",
    ]


def test_plain_lines_say_how_each_job_stands_and_how_long_it_takes(
    two_jobs, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(board, "SAY_S", 0.0)
    shown = Board(two_jobs, tmp_path, Ahead(two_jobs, tmp_path, (), 2))
    jobs = [task.job for task in two_jobs[:2]]
    say(tmp_path, jobs[0], "train", 5, 20, HEALTHY | {"perplexity": 12.0})
    shown.on_poll(jobs)
    say(tmp_path, jobs[0], "train", 10, 20, COLLAPSED | {"perplexity": 1.2})
    shown.on_poll(jobs)
    before, left, now, left_now = lines(capsys)  # of the second job there is nothing to say yet
    assert before.endswith("train 5/20: perplexity / K 45.6 %, mse 0.00421")
    assert now.endswith(
        "train 10/20: COLLAPSED, perplexity / K 4.2 %, mse 0.00421, collapsing: 12 → 1 since step 5"
    )
    assert left.startswith("0 of 2 jobs done, about ")
    assert left.endswith(" left")
    assert left_now.startswith("0 of 2 jobs done, about ")


def test_a_terminal_shows_a_table_of_80_columns_that_is_gone_at_the_end(
    two_jobs, tmp_path, monkeypatch
):
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, width=80, color_system=None)
    monkeypatch.setattr(board, "console", lambda: terminal)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    jobs = [task.job for task in two_jobs[:2]]
    say(tmp_path, jobs[0], "train", 5, 20, COLLAPSED)
    with Board(two_jobs, tmp_path, Ahead(two_jobs, tmp_path, (), 2)) as shown:
        shown.on_poll(jobs)
        states = {job.job_id: shown.state(job) for job in jobs}
        with (paper := Console(width=80, color_system=None)).capture() as printed:
            paper.print(shown.table(jobs, states, "0 of 2 jobs done"))
        table = printed.get().splitlines()
        assert max(map(len, table)) <= 80
        assert "perplexity" in table[0]
        row = next(line for line in table if "train" in line)
        assert row.split()[-7:] == ["train", "25", "%", "0.00421", "4.2", "%", "COLLAPSED"]
        assert any("starting" in line for line in table)
        assert table[-1].strip() == "0 of 2 jobs done"
        assert shown.live.transient  # what ended stays above, and nothing half done below it


def test_the_time_left_is_the_forecast_before_anything_is_done(two_jobs, tmp_path, monkeypatch):
    monkeypatch.setattr(costs, "seconds", lambda job, stage, device, siblings: 100.0)
    begun = Ahead(two_jobs, tmp_path, (), slots=2)
    assert begun.seconds({}) == pytest.approx(2 * 5 * 100 + 4 * costs.START_S / 2, rel=0.01)
    assert Ahead(two_jobs, tmp_path, ("0", "1"), 2).seconds({}) == pytest.approx(512, rel=0.01)
    assert begun.words({}) == "about 17 min"


def test_the_time_left_follows_the_rate_of_the_steps_so_far(two_jobs, tmp_path, monkeypatch):
    monkeypatch.setattr(costs, "seconds", lambda job, stage, device, siblings: 100.0)
    monkeypatch.setattr(costs, "START_S", 0.0)
    now = time.monotonic()
    monkeypatch.setattr(ahead.time, "monotonic", lambda: now)
    begun = Ahead(two_jobs, tmp_path, (), slots=2)
    half = {two_jobs[0].job.job_id: {"stage": "train", "done": 1, "total": 2}}
    begun.began = now - 470.0  # 50 s of work by then: ten times as slow as forecast
    assert begun.seconds(half) == pytest.approx((1000 - 50) * (470 + 30) / (50 + 30))
    begun.on_end(two_jobs[0], more=True)
    assert begun.seconds({}) == pytest.approx((1000 - 200) * (470 + 30) / (200 + 30))
    begun.on_end(two_jobs[1], more=False)  # it failed: nothing follows
    assert begun.seconds({}) == pytest.approx(300 * (470 + 30) / (700 + 30))


def test_a_job_that_cannot_be_reckoned_with_stops_no_run(tiny_job, tmp_path):
    job = dataclasses.replace(tiny_job(), files={"method": str(tmp_path / "gone.py")})
    begun = Ahead([Task(job, ("train",))], tmp_path, (), slots=1)
    assert begun.seconds({}) == pytest.approx(costs.START_S, rel=0.01)


def test_the_last_numbers_of_a_job_begin_with_what_is_wrong():
    assert live({"mse": 0.0042137, "usage": 0.5}) == "mse 0.00421"
    assert live(HEALTHY) == "perplexity / K 45.6 %, mse 0.00421"
    assert live(COLLAPSED) == "COLLAPSED, perplexity / K 4.2 %, mse 0.00421"
    assert live({}) == ""
