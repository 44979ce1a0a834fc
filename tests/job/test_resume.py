"""A job that is killed or stopped, at whatever moment, ends with the numbers of one that is not."""

import json
import os
import random
import shutil
import signal
import subprocess
import time

import pandas as pd
import pytest

from collapsebench.job.process import EXIT_CODES, TAKEN
from collapsebench.results import claims, tables
from tests.conftest import ALL, FEW
from tests.job.kills import left
from tests.launch.jobs_at_work import assert_committed_once, ended, numbers, start

LONGER = {"train.steps": 60, "prior.epochs": 2}


@pytest.fixture(scope="module")
def whole(tmp_path_factory, data_root):
    """(results, job) of a job that nothing disturbed."""
    from collapsebench.plan import resolve
    from collapsebench.plan.grid import Point
    from tests.conftest import TINY

    point = Point("gs_vq_vae", "vqvae", FEW, 8, 4, 1, TINY | LONGER)
    job = resolve.resolve(point, ALL, "demo", data_root)
    results = tmp_path_factory.mktemp("whole")
    assert ended(start(job.queue(results), data_root)) == 0
    return results, job


def assert_same(results, whole):
    """Every row and every file is what it would have been, byte for byte, but for times."""
    pd.testing.assert_frame_equal(numbers(results), numbers(whole), check_exact=True)
    assert left(results) == left(whole)
    assert_committed_once(results)


def kill_often(folder, data_root, kills, seed):
    """Starts a job again and again, kills it within a second, and lets the last one end."""
    moments = random.Random(seed)
    done = 0
    while done < kills:
        process = start(folder, data_root, checkpoint_s=0.05)
        process.join(moments.uniform(0.05, 0.8))
        if process.exitcode is None:
            os.kill(process.pid, signal.SIGKILL)
            done += 1
        elif process.exitcode == 0:  # done before the kill
            process.join()
            return done
        process.join()
    assert ended(start(folder, data_root, checkpoint_s=0.05)) == 0
    return done


def test_five_kills_change_nothing(whole, tmp_path, data_root):
    reference, job = whole
    folder = job.queue(tmp_path)
    assert kill_often(folder, data_root, kills=5, seed=0) >= 1
    assert_same(tmp_path, reference)
    assert not list(folder.glob("*.ckpt"))


@pytest.mark.slow
def test_a_hundred_kills_change_nothing(whole, tmp_path, data_root):
    reference, job = whole
    kills = 0
    for round_ in range(100):
        results = tmp_path / str(round_)
        kills += kill_often(job.queue(results), data_root, kills=4, seed=round_)
        assert_same(results, reference)
        shutil.rmtree(results)
        if kills >= 100:
            return
    pytest.fail(f"only {kills} kills")


@pytest.mark.slow
def test_sigterm_ends_a_job_with_its_checkpoint_and_it_goes_on(whole, tmp_path, data_root):
    reference, job = whole
    folder = job.queue(tmp_path)
    process = start(folder, data_root)
    while "train 15/60" not in log(folder):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGTERM)
    assert ended(process) == EXIT_CODES["interrupted"]
    assert (folder / "train.ckpt").exists()
    assert not claims.held(folder)
    runs = tables.read(tmp_path, "runs")
    assert runs[["stage", "status"]].values.tolist() == [["train", "interrupted"]]

    assert ended(start(folder, data_root)) == 0
    assert_same(tmp_path, reference)


def test_a_limit_and_a_cancelled_job_say_so_and_go_on(whole, tmp_path, data_root):
    reference, job = whole
    folder = job.queue(tmp_path)
    limited = start(folder, data_root, limit_s=0.2)
    assert ended(limited) == EXIT_CODES["timeout"]
    (folder / "cancel").touch()
    assert ended(start(folder, data_root)) == EXIT_CODES["cancelled"]
    (folder / "cancel").unlink()
    assert ended(start(folder, data_root)) == 0
    assert_same(tmp_path, reference)


def test_a_job_that_somebody_works_on_is_left_alone(whole, tmp_path, data_root):
    folder = whole[1].queue(tmp_path)
    with claims.Claim(folder):
        assert ended(start(folder, data_root)) == TAKEN
        assert "is held by process" in log(folder)
    assert not (tmp_path / "runs").exists()


def test_a_full_disk_is_named_and_harms_nothing(whole, tmp_path, data_root):
    reference, job = whole
    results = tmp_path / "small"
    results.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(results)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        folder = job.queue(results)
        assert ended(start(folder, data_root)) not in (0, TAKEN)
        assert "no space left" in (log(folder) + said(folder)).lower()
        assert not list(folder.glob(".*.tmp"))
        assert_committed_once(results)
        before = {
            p: p.read_bytes() for t in tables.SCHEMAS for p in (results / t).glob("*.parquet")
        }

        subprocess.run(["mount", "-o", "remount,size=200m", str(results)], check=True)
        assert ended(start(folder, data_root)) == 0
        assert all(path.read_bytes() == content for path, content in before.items())
        assert_same(results, reference)
    finally:
        subprocess.run(["umount", str(results)], check=True)


def log(folder):
    path = folder / "log.txt"
    return path.read_text() if path.exists() else ""


def said(folder):
    path = folder / "status.json"
    return json.loads(path.read_text())["message"] if path.exists() else ""
