"""Rows that the tables lose come back from the job's folder, byte for byte."""

import os

import pytest

from collapsebench.results import copies, runs, tables
from collapsebench.results.folder import ROWS, job_folder

JOB, STAGE = "a" * 16, "b" * 16
KEY = {"job_id": JOB, "stage": "encode", "stage_id": STAGE}
ROWS_OF = {
    "metrics": [KEY | {"metric": "mse", "value": 0.5, "split": "test", "protocol": ""}],
    "codes": [KEY | {"split": "test", "codebook": 0, "counts": [3, 1]}],
    "runs": [KEY | {"run_id": "0f", "status": "done"}],
}


@pytest.fixture
def results(tmp_path):
    """A stage that is done, its rows in the job's folder and in the tables."""
    folder = job_folder(tmp_path, JOB)
    for table, rows in ROWS_OF.items():
        tables.write(folder / ROWS, table, name(table), rows)
    assert [path.parent.name for path in copies.publish(tmp_path, folder)] == [
        "codes",
        "metrics",
        "runs",
    ]
    return tmp_path


def name(table):
    return runs.run_name(KEY, "done", "0f") if table == "runs" else runs.rows_name(KEY)


def file(results, table):
    return results / table / f"{name(table)}.parquet"


def truncated(path):
    path.write_bytes(path.read_bytes()[:200])


def flipped(path):
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)


def of_another_job(path):
    key = KEY | {"job_id": "c" * 16}
    rows = [row | key for row in ROWS_OF[path.parent.name]]
    tables.write(path.parent.parent, path.parent.name, path.stem, rows)


def of_a_later_version(path):
    rows = [row | {"schema_version": 9} for row in ROWS_OF[path.parent.name]]
    tables.write(path.parent.parent, path.parent.name, path.stem, rows)


DAMAGE = {
    "deleted": os.remove,
    "truncated": truncated,
    "empty": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "text": lambda path: path.write_text("not found"),
    "flipped": flipped,
    "another job's": of_another_job,
    "later": of_a_later_version,
}


@pytest.mark.parametrize("table", ROWS_OF)
@pytest.mark.parametrize("harm", DAMAGE.values(), ids=DAMAGE)
def test_lost_rows_are_noticed_and_written_again(results, table, harm):
    path = file(results, table)
    before = path.read_bytes()
    harm(path)
    now = runs.standing(results)
    assert now.finished == {}
    deleted_run = table == "runs" and not path.exists()  # then nothing says that it was done
    assert now.lost == ({} if deleted_run else {(JOB, STAGE): [table]})
    assert copies.publish(results, job_folder(results, JOB)) == [path]
    assert path.read_bytes() == before
    assert runs.standing(results) == runs.Standing({(JOB, STAGE): "done"}, {})


@pytest.mark.parametrize("table", ROWS_OF)
def test_a_table_that_is_gone_comes_back(results, table):
    file(results, table).unlink()
    (results / table).rmdir()
    assert runs.finished(results) == {}
    copies.publish(results, job_folder(results, JOB))
    assert runs.finished(results) == {(JOB, STAGE): "done"}


def test_another_file_of_the_same_stage_stays(results):
    """What a second machine measured: rows are compared by what they are of, not by bytes."""
    rows = [row | {"value": 0.25} for row in ROWS_OF["metrics"]]
    path = tables.write(results, "metrics", name("metrics"), rows)
    before = path.read_bytes()
    assert runs.finished(results) == {(JOB, STAGE): "done"}
    assert copies.publish(results, job_folder(results, JOB)) == []
    assert path.read_bytes() == before


@pytest.mark.parametrize("harm", [truncated, flipped, os.remove])
def test_a_damaged_copy_harms_no_table(results, harm):
    harm(job_folder(results, JOB) / ROWS / "metrics" / f"{name('metrics')}.parquet")
    before = file(results, "metrics").read_bytes()
    assert runs.finished(results) == {(JOB, STAGE): "done"}
    assert copies.publish(results, job_folder(results, JOB)) == []
    assert file(results, "metrics").read_bytes() == before
    file(results, "metrics").unlink()  # now they are lost for good
    assert runs.standing(results).lost == {(JOB, STAGE): ["metrics"]}
    assert copies.publish(results, job_folder(results, JOB)) == []


def test_rows_from_elsewhere_are_looked_for_by_name(tmp_path):
    """Copied from another machine without its jobs' folders."""
    for table, rows in ROWS_OF.items():
        tables.write(tmp_path, table, name(table), rows)
    other = KEY | {"job_id": "c" * 16}
    tables.write(tmp_path, "metrics", runs.rows_name(other), [other])
    assert runs.finished(tmp_path) == {(JOB, STAGE): "done"}
    truncated(file(tmp_path, "codes"))
    file(tmp_path, "metrics").unlink()
    assert runs.standing(tmp_path).lost == {(JOB, STAGE): ["codes", "metrics"]}
    truncated(file(tmp_path, "runs"))
    assert runs.standing(tmp_path).lost == {(JOB, STAGE): ["codes", "metrics", "runs"]}


def test_a_table_that_is_kept_elsewhere_or_in_one_file_is_no_loss(tmp_path):
    tables.write(tmp_path, "runs", name("runs"), ROWS_OF["runs"])
    tables.write(tmp_path, "metrics", "all of them", ROWS_OF["metrics"])
    assert runs.finished(tmp_path) == {(JOB, STAGE): "done"}


def test_of_a_stage_that_diverged_no_measurement_is_missed(tmp_path):
    tables.write(tmp_path, "metrics", runs.rows_name(KEY | {"job_id": "c" * 16}), [KEY])
    tables.write(tmp_path, "runs", runs.run_name(KEY, "diverged", "0f"), [KEY])
    assert runs.finished(tmp_path) == {(JOB, STAGE): "diverged"}


def test_only_the_asked_jobs_are_looked_at(results):
    assert runs.finished(results, ["c" * 16]) == {}
    assert runs.finished(results, [JOB]) == {(JOB, STAGE): "done"}
