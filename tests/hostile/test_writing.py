"""Disks that are full, and outputs that nobody reads."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from collapsebench.results import disk
from collapsebench.settings import system_reason

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def the_systems_own(path):
    raise FULL


def of_torch(path):
    class Full:
        def write(self, content):
            raise FULL

    torch.save({"a": torch.zeros(3)}, Full())


def of_numpy(path):
    raise OSError("200000 requested and 65504 written")


@pytest.mark.parametrize("write", [the_systems_own, of_torch, of_numpy])
def test_a_full_disk_is_told_as_one_whoever_met_it(tmp_path, write):
    path = tmp_path / "x.json"
    path.write_text("as it was")
    with pytest.raises(OSError, match="No space left") as caught:
        disk.replace_atomically(path, write, Path.stat)
    assert system_reason(caught.value) == f"no space left in {tmp_path}"
    assert path.read_text() == "as it was"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (PermissionError(13, "Permission denied", "a/b"), "a/b: permission denied"),
        (OSError(30, "Read-only file system", "a"), "a: read-only file system"),
        (OSError(28, "No space left on device", "a/b"), "no space left in a"),
        (OSError(28, "No space left on device"), "no space left on device"),
        (OSError(18, "Cross-device link", "a", None, "b"), "a -> b: cross-device link"),
        (OSError("two\nlines"), "two"),
        (OSError(), "oserror"),
    ],
)
def test_what_the_system_refuses_is_one_line(error, line):
    assert system_reason(error) == line


def test_a_failing_check_leaves_what_was_there(tmp_path):
    path = tmp_path / "x.json"
    path.write_text("as it was")

    def refuse(path):
        raise ValueError("not what was written")

    with pytest.raises(ValueError, match="not what was written"):
        disk.replace_atomically(path, lambda p: p.write_text("new"), refuse)
    assert path.read_text() == "as it was"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device here")
@pytest.mark.parametrize(
    ("output", "code", "said"),
    [(">/dev/full", 2, "collapsebench: no space left on device\n"), (">&-", 0, "")],
)
def test_an_output_that_takes_nothing_is_no_traceback(tmp_path, output, code, said):
    command = f"{sys.executable} -m collapsebench list --json {output}"
    ended = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (code, said)
