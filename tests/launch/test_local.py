"""Whole runs on this machine, as a person starts them."""

import contextlib
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import termios
import threading
import time

import pytest

from collapsebench.results import tables
from tests.conftest import tiny_grid
from tests.launch.jobs_at_work import Command, assert_committed_once


@pytest.fixture
def begin(tmp_path, data_root):
    """``begin("run", "-g", "tiny.toml")`` -> the started process, in a folder of its own."""
    (tmp_path / "tiny.toml").write_text(tiny_grid("continuous", steps=8))
    environment = {"COLLAPSEBENCH_DATA": str(data_root), "COLUMNS": "200"}
    return lambda *words: Command(words, tmp_path, environment)


def test_two_runs_on_one_folder_share_the_work(begin, tmp_path):
    runs = [begin("run", "-g", "tiny.toml", "-j", "1") for _ in range(2)]
    said = [run.said() for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    assert all("tiny: 2 of 2 jobs complete" in text for text in said)
    rows = tables.read(tmp_path / "results", "runs")
    ended = sorted(zip(rows["stage"], rows["status"], rows["message"], strict=True))
    assert ended == [("encode", "done", "")] * 2 + [("train", "done", "")] * 2  # none twice
    assert_committed_once(tmp_path / "results")


def test_a_killed_job_is_tried_again(begin, tmp_path):
    run = begin("run", "-g", "tiny.toml", "-j", "1", "-m", "vq_vae")
    os.kill(holder(tmp_path)["pid"], signal.SIGKILL)
    said = run.said()
    assert run.returncode == 0, said
    assert "error, will be tried again" in said
    rows = tables.read(tmp_path / "results", "runs").set_index("status")
    assert rows.loc["error", "message"] == "killed by SIGKILL"
    assert sorted(rows.loc["done", "stage"]) == ["encode", "train"]


def test_a_process_that_ends_without_a_result_has_failed(begin, tmp_path):
    begin("new-method", "my_vq").said()
    path = tmp_path / "my_vq.py"
    ends = "import os\n        os._exit(0)\n        tokens = "
    path.write_text(path.read_text().replace("tokens = ", ends, 1))
    run = begin("run", "-g", "tiny.toml", "-j", "1", "-m", "my_vq.py")
    said = run.said()
    assert run.returncode == 1, said
    (row,) = tables.read(tmp_path / "results", "runs").to_dict("records")
    assert (row["stage"], row["status"]) == ("train", "error")
    assert row["message"] == "no result, exit code 0; see the log"


@pytest.mark.slow
def test_ctrl_c_once_ends_gently_and_the_next_run_goes_on(begin, tmp_path):
    run = begin("run", "-g", "tiny.toml", "-j", "1")
    holder(tmp_path)
    run.send_signal(signal.SIGINT)
    said = run.said()
    assert run.returncode == 130, said
    assert "run the same command again to go on" in said
    again = begin("run", "-g", "tiny.toml", "-j", "1")
    assert "tiny: 2 of 2 jobs complete" in again.said()
    assert_committed_once(tmp_path / "results")


def test_what_waits_is_not_started_once_its_grid_is_cancelled(begin, tmp_path):
    run = begin("run", "-g", "tiny.toml", "-j", "1", "-m", "vq_vae", "--seeds", "4",
                "--set", "train.steps=100000")  # fmt: skip
    holder(tmp_path)
    said = begin("cancel", "-g", "tiny").said()
    assert re.fullmatch(r"cancelled [0-9a-f]{16}\n3 others will not be started\n", said)
    said = run.said()
    assert run.returncode == 1, said
    assert said.count("\ncancelled: ") == 1
    assert "tiny: 0 of 4 jobs complete" in said
    rows = tables.read(tmp_path / "results", "runs")
    assert list(rows["status"]) == ["cancelled"]
    said = begin("cancel", "-g", "tiny").said()
    assert said == "collapsebench: none of these jobs is running or queued\n"


@pytest.mark.slow
def test_one_job_that_waits_is_not_started_and_the_others_are(begin, tmp_path):
    run = begin("run", "-g", "tiny.toml", "-j", "1", "-m", "vq_vae", "--seeds", "3",
                "--set", "train.steps=1500")  # fmt: skip
    holder(tmp_path)
    (grid,) = (tmp_path / "results" / "grids").iterdir()
    last = json.loads(grid.read_text())["jobs"][-1]["job_id"]
    said = begin("cancel", last[:8]).said()
    assert said == "1 other will not be started\n"
    assert "tiny: 2 of 3 jobs complete" in run.said()
    assert last not in set(tables.read(tmp_path / "results", "runs")["job_id"])


@pytest.mark.parametrize("told", [pytest.param(True, marks=pytest.mark.slow), False])
@pytest.mark.skipif(not hasattr(os, "openpty"), reason="there are no terminals of this kind")
def test_a_closed_terminal_ends_run_and_jobs_gently(told, tmp_path, data_root):
    (tmp_path / "tiny.toml").write_text(tiny_grid("continuous", steps=100_000))
    ours, theirs = os.openpty()
    environment = os.environ | {"COLLAPSEBENCH_DATA": str(data_root), "TERM": "xterm"}
    run = subprocess.Popen(
        [sys.executable, "-m", "collapsebench", "run", "-g", "tiny.toml", "-j", "1", "-y"],
        cwd=tmp_path, env=environment, stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True,
        preexec_fn=at_a_terminal if told else None,
    )  # fmt: skip
    os.close(theirs)
    reader = threading.Thread(target=drain, args=(ours,), daemon=True)
    reader.start()
    pid = holder(tmp_path)["pid"]
    os.kill(pid, 0)
    if told:
        run.send_signal(signal.SIGHUP)
        run.send_signal(signal.SIGHUP)  # a shell repeats what the terminal said
    os.close(ours)
    assert run.wait(timeout=240) == 130
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    rows = tables.read(tmp_path / "results", "runs")
    assert list(rows["status"]) == ["interrupted"]
    assert list((tmp_path / "results" / "jobs").glob("*/train.ckpt")) != []


@pytest.mark.slow
def test_what_runs_ends_gently_when_nobody_reads_what_run_says(tmp_path, data_root):
    longer = '[[override]]\nwhen = { method = "vq_vae" }\nset = { "train.steps" = 100000 }\n'
    (tmp_path / "tiny.toml").write_text(tiny_grid("continuous") + longer)
    run = subprocess.Popen(
        [sys.executable, "-m", "collapsebench", "run", "-g", "tiny.toml", "-j", "2", "-y"],
        cwd=tmp_path, env=os.environ | {"COLLAPSEBENCH_DATA": str(data_root)},
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    run.stdout.readline()
    run.stdout.close()  # of a pipe into `head -1`
    assert run.wait(timeout=240) == 1
    rows = tables.read(tmp_path / "results", "runs").groupby("method")["status"].apply(list)
    assert rows["continuous"] == ["done", "done"]
    assert rows["vq_vae"] == ["interrupted"]


def at_a_terminal():
    """What a shell does for a program: its controlling terminal, and signals as they come."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup


def drain(terminal):
    """Reads what a terminal shows until it is closed."""
    with contextlib.suppress(OSError):
        while os.read(terminal, 1 << 16):
            pass


@pytest.mark.slow
def test_nohup_is_heard(tmp_path, data_root):
    (tmp_path / "tiny.toml").write_text(tiny_grid("continuous"))
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what a child inherits
    try:
        run = subprocess.Popen(
            [sys.executable, "-m", "collapsebench", "run", "-g", "tiny.toml", "-j", "1"],
            cwd=tmp_path, env=os.environ | {"COLLAPSEBENCH_DATA": str(data_root)},
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
    finally:
        signal.signal(signal.SIGHUP, before)
    holder(tmp_path)
    run.send_signal(signal.SIGHUP)
    assert "tiny: 2 of 2 jobs complete" in run.communicate(timeout=240)[0]


@pytest.mark.slow
def test_a_cancelled_job_fails_is_retried_and_its_log_is_shown(begin, tmp_path):
    run = begin("run", "-g", "tiny.toml", "-j", "1", "-m", "vq_vae", "--set", "train.steps=100000")
    pid = holder(tmp_path)["pid"]
    assert begin("cancel", "-g", "tiny").said().startswith("cancelled ")
    said = run.said()
    assert run.returncode == 1, said
    assert "cancelled: VQ-VAE" in said
    (folder,) = (tmp_path / "results" / "jobs").iterdir()
    state = json.loads(begin("status", "--json").said())
    assert state[0]["status"] == "cancelled"
    assert "train begins" in begin("logs", folder.name[:6]).said()
    retried = begin("retry", "--failed", "-j", "1")
    os.kill(holder(tmp_path, pid)["pid"], signal.SIGTERM)
    assert retried.said()
    assert retried.returncode == 130


def holder(folder, before=0):
    """The claim of the first job that somebody else than ``before`` works on."""
    from collapsebench.results import claims

    for _ in range(6000):
        for path in (folder / "results" / "jobs").glob("*"):
            found = claims.holder(path)
            if found is not None and found["pid"] != before:
                return found
        time.sleep(0.01)
    raise AssertionError("no job was started")
