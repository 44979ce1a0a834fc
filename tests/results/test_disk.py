import json
import os
import sys

import pytest

from collapsebench.results import disk, tables


def test_a_failing_write_leaves_the_old_file_and_no_rubbish(tmp_path):
    path = tmp_path / "x.json"
    disk.write_json(path, {"a": 1})

    def half(temporary):
        temporary.write_text('{"a":')
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        disk.replace_atomically(path, half, lambda p: None)
    assert path.read_text() == '{\n "a": 1\n}\n'
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_what_cannot_be_read_back_is_not_put_in_place(tmp_path):
    with pytest.raises(ValueError, match="Expecting"):
        disk.replace_atomically(
            tmp_path / "x.json",
            lambda p: p.write_text("not json"),
            lambda p: json.loads(p.read_text()),
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="needs root to mount")
def test_a_full_disk_is_an_error_and_harms_nothing(tmp_path):
    small = tmp_path / "disk"
    small.mkdir()
    if os.system(f"mount -t tmpfs -o size=64k tmpfs {small} 2>/dev/null"):
        pytest.skip("no tmpfs may be mounted here")
    try:
        first = tables.write(small, "metrics", "first", [{"metric": "mse", "value": 0.5}])
        with pytest.raises(OSError, match="No space left"):
            disk.write_json(small / "large.json", "x" * 100_000)
        assert first.exists()
        assert len(tables.read(small, "metrics")) == 1
        assert not list(small.glob(".*"))
    finally:
        os.system(f"umount {small}")
