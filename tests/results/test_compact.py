"""Many row files become few: every row stays, whoever reads, writes or is killed meanwhile."""

import math
import multiprocessing
import os
import random
import signal
import time

import pandas as pd
import pytest

from collapsebench.results import claims, compact, copies, runs, tables
from collapsebench.results.folder import ROWS, job_folder
from collapsebench.settings import UserError

JOBS = [f"{number:016x}" for number in range(8)]
STAGE = "train"


def rows_of(job):
    key = {"job_id": job, "stage": STAGE, "stage_id": job, "config_id": job[:4]}
    values = [0.5, math.nan, math.inf, None]
    curves = [key | {"metric": "loss", "step": i, "value": v} for i, v in enumerate(values)]
    run = key | {"run_id": job, "status": "done", "settings": '{"train": {"steps": 3}}'}
    return {"curves": curves, "runs": [run]}


def write(results, job, where=None):
    root = where or results
    for table, rows in rows_of(job).items():
        end = ".done" if table == "runs" else ""
        tables.write(root, table, f"{job}.{STAGE}.{job}{end}", rows)


def everything(results):
    return {
        table: tables.read(results, table).sort_values(list(tables.ROW_KEYS[table]), ignore_index=1)
        for table in ("runs", "curves")
    }


def assert_equal(found, expected):
    for table, frame in expected.items():
        pd.testing.assert_frame_equal(found[table], frame, check_exact=True)


@pytest.fixture
def results(tmp_path):
    for job in JOBS:
        write(tmp_path, job)
    return tmp_path


def test_every_row_stays_and_readers_see_no_difference(results, monkeypatch):
    before, done = everything(results), runs.finished(results)
    attempts = sorted(map(str, runs.attempts(results)))
    monkeypatch.setattr(compact, "MOST_FILES", 5)
    assert compact.compact(results) == "16 row files became 4"
    assert [len(list((results / table).iterdir())) for table in before] == [2, 2]
    assert_equal(everything(results), before)
    assert runs.finished(results) == done == {(job, job): "done" for job in JOBS}
    assert sorted(map(str, runs.attempts(results))) == attempts
    assert list(tables.read(results, "runs", jobs=JOBS[:1], settings=True)["train.steps"]) == [3]
    assert compact.compact(results) == "0 row files became 0"


def test_new_rows_stand_beside_compacted_ones_and_join_them(results):
    compact.compact(results)
    for job in ("f" * 16, "e" * 16):
        write(results, job)
    whole = everything(results)
    assert len(whole["runs"]) == 10
    assert compact.compact(results) == "4 row files became 2"
    assert_equal(everything(results), whole)


def test_a_jobs_copies_know_compacted_rows_and_bring_them_back(results):
    folder = job_folder(results, JOBS[0])
    write(results, JOBS[0], folder / ROWS)
    before = everything(results)
    compact.compact(results)
    assert copies.publish(results, folder) == []
    for table in before:
        tables.compacted(results / table)[0].write_bytes(b"torn")
    with pytest.warns(UserWarning, match="skipped .*compacted-"):
        assert len(tables.read(results, "runs")) == 0
    assert len(copies.publish(results, folder)) == 2


def test_a_stage_that_has_no_rows_in_a_table_stays_done(results, monkeypatch):
    monkeypatch.setitem(runs.TABLES, STAGE, ("curves", "codes"))
    for job in JOBS:  # a method without a codebook counts no codes
        tables.write(results, "codes", f"{job}.{STAGE}.{job}", [])
    done = runs.finished(results)
    assert len(done) == len(JOBS)
    compact.compact(results)
    assert runs.finished(results) == done


def test_rows_of_jobs_at_work_and_files_that_cannot_be_read_stay(results):
    torn = results / "runs" / f"{JOBS[1]}.{STAGE}.{JOBS[1]}.done.parquet"
    torn.write_bytes(b"torn")
    folder = job_folder(results, JOBS[0])
    folder.mkdir(parents=True)
    with claims.Claim(folder):
        compact.compact(results)
    left = [path.name.partition(".")[0] for path in (results / "runs").glob(f"*.{STAGE}.*")]
    assert sorted(left) == JOBS[:2]


def test_what_does_not_read_back_removes_nothing(results, monkeypatch):
    monkeypatch.setattr(compact, "same", lambda written, read: False)
    before = sorted(results.rglob("*"))
    with pytest.raises(OSError, match="Input/output error"):
        compact.compact(results)
    assert sorted(results.rglob("*")) == before


def test_a_folder_without_rows_is_named(tmp_path):
    with pytest.raises(UserError, match="no rows in"):
        compact.compact(tmp_path)


def test_kills_at_any_moment_lose_and_double_no_row(results, monkeypatch):
    before, moments = everything(results), random.Random(0)
    monkeypatch.setattr(compact, "MOST_FILES", 3)
    context = multiprocessing.get_context("fork")
    for _ in range(20):
        process = context.Process(target=compact.compact, args=(results,))
        process.start()
        time.sleep(moments.uniform(0, 0.05))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert_equal(everything(results), before)
    compact.compact(results)
    assert_equal(everything(results), before)


def test_a_reader_at_the_same_time_sees_every_row(results, monkeypatch):
    before = everything(results)
    monkeypatch.setattr(compact, "MOST_FILES", 2)
    process = multiprocessing.get_context("fork").Process(target=compact.compact, args=(results,))
    process.start()
    while process.is_alive():
        assert_equal(everything(results), before)
    process.join()
    assert process.exitcode == 0
