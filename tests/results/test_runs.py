"""The files of the table ``runs`` say by their names how each attempt ended."""

import pytest

from collapsebench.results import rowfiles, runs, tables
from collapsebench.results.runs import Attempt

KEY = {"job_id": "a" * 16, "stage": "encode", "stage_id": "b" * 16}


def test_names_are_written_out():
    base = f"{'a' * 16}.encode.{'b' * 16}"
    assert runs.rows_name(KEY) == base
    assert runs.run_name(KEY, "done", "0f") == f"{base}.done"
    assert runs.run_name(KEY, "out_of_memory", "0f") == f"{base}.out_of_memory-0f"


@pytest.mark.parametrize("status", rowfiles.STATUSES)
def test_a_name_is_read_as_it_was_written(tmp_path, status):
    tables.write(tmp_path, "runs", runs.run_name(KEY, status, "0f"), [KEY])
    attempt = Attempt(**KEY, status=status)
    assert list(runs.attempts(tmp_path)) == [attempt]
    assert list(runs.attempts(tmp_path, "a" * 16)) == [attempt]
    assert list(runs.attempts(tmp_path, "c" * 16)) == []
    final = status in ("done", "diverged", "incompatible")
    assert runs.finished(tmp_path) == ({("a" * 16, "b" * 16): status} if final else {})


def test_foreign_names_are_passed_over(tmp_path):
    (tmp_path / "runs").mkdir()
    for name in ("demo.parquet", "a.b.done.parquet", "a.b.c.done.x.parquet", ".a.b.c.d.tmp"):
        (tmp_path / "runs" / name).touch()
    assert list(runs.attempts(tmp_path)) == []
