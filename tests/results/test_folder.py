"""The small files of a job's folder, read back whatever is in them."""

import pytest

from collapsebench.results import folder

GARBAGE = ["", "{", "[]", "null", "7", '"text"', "[" * 100_000, "\0" * 40]


def test_what_is_said_is_read_back(tmp_path):
    assert folder.last_said(tmp_path) == {}
    folder.say(tmp_path, "train", "error", "it broke")
    assert folder.last_said(tmp_path) == {
        "stage": "train",
        "status": "error",
        "message": "it broke",
    }


@pytest.mark.parametrize("content", [*GARBAGE, '{"stage": "train", "status": 5, "message": ""}'])
def test_a_damaged_status_is_none(tmp_path, content):
    (tmp_path / folder.STATUS).write_text(content)
    assert folder.last_said(tmp_path) == {}


@pytest.mark.parametrize("content", [*GARBAGE, '{"stage": "train", "done": 1, "values": {}}'])
def test_a_damaged_progress_is_none(tmp_path, content):
    (tmp_path / folder.PROGRESS).write_text(content)
    assert folder.progress(tmp_path) == {}


def test_of_progress_only_numbers_are_shown(tmp_path):
    state = '{"stage": "train", "done": 1, "total": 9, "values": {"mse": 0.5, "usage": "all"}}'
    (tmp_path / folder.PROGRESS).write_text(state)
    assert folder.progress(tmp_path)["values"] == {"mse": 0.5}


def test_the_last_lines_of_a_log_that_is_no_text(tmp_path):
    assert list(folder.log_tail(tmp_path)) == []
    (tmp_path / folder.LOG).write_bytes(b"first\n\xff second\nthird\n")
    assert list(folder.log_tail(tmp_path, 2)) == ["\ufffd second", "third"]
