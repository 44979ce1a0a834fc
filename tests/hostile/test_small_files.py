"""What lies in a results folder and says nothing sensible: passed over, set aside or named."""

import json
import os
import platform
import shutil

import pytest

from collapsebench.job import process
from collapsebench.job.order import Order
from collapsebench.launch import launcher
from collapsebench.plan.job import Job
from collapsebench.results import claims, disk, folder, grids
from collapsebench.settings import UserError

HERE = platform.node()
CONTENTS = {
    "empty": b"",
    "a list": b"[]",
    "a negative number": b"-3",
    "a text": b'"x"',
    "null": b"null",
    "true": b"true",
    "zeros": b"\0\0\0",
    "no text": b"\xff\xfe\x80",
    "torn": b'{"a": ',
    "nested": b"[" * 100_000,
    "many digits": b"9" * 5_000,
    "foreign": b'{"a": 1}',
    "a folder": None,
}
CLAIMS = {
    "no host": {"pid": 1, "started": 1.0, "token": "x"},
    "no process": {"host": HERE, "started": 1.0, "token": "x"},
    "a host that is a number": {"host": 3, "pid": 1, "started": 1.0, "token": "x"},
    "a process that is a text": {"host": HERE, "pid": "1", "started": 1.0, "token": "x"},
    "a negative process": {"host": HERE, "pid": -5, "started": 1.0, "token": "x"},
    "process 0": {"host": HERE, "pid": 0, "started": 1.0, "token": "x"},
    "a process of 30 digits": {"host": HERE, "pid": 10**30, "started": 1.0, "token": "x"},
    "a time that is a text": {"host": HERE, "pid": 1, "started": "now", "token": "x"},
    "no token, another host": {"host": "elsewhere", "pid": 1, "started": 1.0},
}


def put(path, content):
    """The content of ``CONTENTS`` at a path, whatever was there."""
    shutil.rmtree(path, ignore_errors=True)
    path.unlink(missing_ok=True) if path.is_file() else None
    path.mkdir() if content is None else path.write_bytes(content)


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_a_claim_that_names_nobody_holds_nothing(tmp_path, content):
    put(claims.path(tmp_path, 1), content)
    assert not claims.held(tmp_path)
    with claims.Claim(tmp_path):
        assert claims.held(tmp_path)
    assert not claims.held(tmp_path)


@pytest.mark.parametrize("content", CLAIMS.values(), ids=CLAIMS)
def test_a_claim_without_a_process_holds_nothing(tmp_path, content):
    claims.path(tmp_path, 1).write_text(json.dumps(content))
    assert not claims.held(tmp_path)
    with claims.Claim(tmp_path):
        assert claims.held(tmp_path)


def test_a_pipe_where_a_claim_should_be_keeps_nobody_waiting(tmp_path):
    os.mkfifo(claims.path(tmp_path, 1))
    assert not claims.held(tmp_path)
    with claims.Claim(tmp_path):
        assert claims.held(tmp_path)


@pytest.mark.parametrize("name", ["claim-x.json", "claim-.json", "claim-²4.json", "claim--1.json"])
def test_what_is_only_named_like_a_claim_is_none(tmp_path, name):
    (tmp_path / name).write_text("{}")
    assert claims.latest(tmp_path) == 0


@pytest.mark.parametrize(
    "text", ["", "x", "-1", "0", "1e3", "1.5", "999999999", "1025", "٣", "4 4", "\0", "9" * 5000]
)
def test_a_number_of_threads_that_is_none_is_set_aside(tmp_path, capsys, text):
    (tmp_path / folder.THREADS).write_text(text)
    assert process.first_threads(tmp_path, 2) in (2, 3)
    assert int((tmp_path / folder.THREADS).read_text()) in (2, 3)


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_what_a_job_said_is_empty_where_it_cannot_be_read(tmp_path, content):
    for name in (folder.STATUS, folder.PROGRESS, launcher.QUEUED):
        put(tmp_path / name, content)
    assert folder.last_said(tmp_path) == {}
    assert folder.progress(tmp_path) == {}
    assert launcher.queued(tmp_path) == {}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
@pytest.mark.parametrize(("name", "read"), [(folder.JOB, Job.load), (folder.ORDER, Order.read)])
def test_a_job_or_order_that_cannot_be_read_is_named(tmp_path, name, read, content):
    put(tmp_path / name, content)
    with pytest.raises(UserError) as caught:
        read(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_a_record_of_a_grid_that_cannot_be_read_is_named(call, results, content):
    put(grids.path(results, "demo"), content)
    call("status", "-g", "demo").refuses("demo.json cannot be read")


@pytest.mark.parametrize(
    "name", ["../grids/demo", "demo.json", "./demo", "/etc/passwd", "", "x" * 300, "a\0b", "*"]
)
def test_a_grids_name_is_never_a_path(results, name):
    with pytest.raises(UserError, match="was not run in"):
        grids.read(results, name)


@pytest.mark.parametrize(
    "label", ["[/x]", "[bold]x", "a\nb", "a\0b", "\x1b[31mx", ":smile:", "😀", "$x", "<!--<script>"]
)
def test_any_label_can_be_printed(call, results, label):
    path = grids.path(results, "demo")
    record = json.loads(path.read_text())
    for job in record["jobs"]:
        job["label"] = label
    path.write_text(json.dumps(record | {"title": label}))
    ended = call("status")
    assert ended.code == 0, ended.err
    assert ended.out.count("\n") == 4 + len(record["jobs"])
    assert "\x1b" not in ended.out


@pytest.mark.parametrize("table", ["runs", "metrics", "jobs"])
@pytest.mark.parametrize("kind", ["a file", "absent", "a link to itself", "a link to nowhere"])
def test_a_part_of_the_results_that_cannot_be_read_is_no_traceback(call, results, table, kind):
    place = results / table
    shutil.rmtree(place)
    if kind == "a file":
        place.write_text("x")
    if kind.startswith("a link"):
        place.symlink_to(table if "itself" in kind else "nowhere")
    assert call("status").code == 0
    assert call("gc", "--dry-run").code == 0
    assert call("freeze", "mine", "-g", "demo").code in (0, 2)


@pytest.mark.parametrize(
    "kind", ["a results folder", "empty", "a file", "a link", "of another tag"]
)
def test_freeze_replaces_nothing_that_it_did_not_make(call, results, tmp_path, kind):
    place = tmp_path / "out" / "mine"
    place.parent.mkdir()
    if kind == "a results folder":
        shutil.copytree(results, place)
    elif kind == "empty":
        place.mkdir()
    elif kind == "a file":
        place.write_text("x")
    else:
        assert call("freeze", "other", "-g", "demo", "-o", "out").code == 0
        other = tmp_path / "out" / "other"
        place.symlink_to(other) if kind == "a link" else other.rename(place)
    before = sorted(path.relative_to(tmp_path) for path in (tmp_path / "out").rglob("*"))
    call("freeze", "mine", "-g", "demo", "-o", "out").refuses(
        "no baseline 'mine' that freeze wrote"
    )
    assert before == sorted(path.relative_to(tmp_path) for path in (tmp_path / "out").rglob("*"))


def test_files_have_the_mode_that_the_umask_says(tmp_path):
    before = os.umask(0o027)
    try:
        for path in (tmp_path / "a.json", tmp_path / "b" / "c.json"):
            disk.write_json(path, {})
            assert path.stat().st_mode & 0o777 == 0o640
    finally:
        os.umask(before)


@pytest.mark.parametrize("kind", ["a pipe", "a folder"])
def test_only_regular_files_are_replaced(tmp_path, kind):
    path = tmp_path / "x.json"
    os.mkfifo(path) if kind == "a pipe" else path.mkdir()
    mode = path.stat().st_mode
    with pytest.raises(OSError, match=r"x\.json"):
        disk.write_json(path, {})
    assert path.stat().st_mode == mode
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]
