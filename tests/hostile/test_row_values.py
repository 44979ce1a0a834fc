"""Rows that say what no row of this program says: their file is named and left out."""

import math

import numpy as np
import pytest

from collapsebench.report import images
from collapsebench.results import tables

KEY = {"job_id": "a" * 16, "stage_id": "b" * 16, "stage": "train"}
DONE = {"status": "done", "run_id": "1"}
COUNTS = {"split": "test", "counts": [1, 2]}
FOREIGN = [  # table, what its row says -> why it is left out
    ("runs", {"status": ""}, "a status that there is not"),
    ("runs", {"status": "done\x1b[31m"}, "a status that there is not"),
    ("runs", DONE | {"wall_s": math.inf}, "wall_s out of reach"),
    ("runs", DONE | {"wall_s": -1e300}, "wall_s out of reach"),
    ("runs", DONE | {"items_per_s": math.inf}, "items_per_s out of reach"),
    ("runs", DONE | {"versions": ""}, "Expecting value"),
    ("runs", DONE | {"versions": "["}, "Expecting value"),
    ("runs", DONE | {"versions": "[]"}, r"versions must be an object, not \[\]"),
    ("runs", DONE | {"versions": "3"}, "versions must be an object, not 3"),
    ("runs", DONE | {"implementation": "x"}, "Expecting value"),
    ("runs", DONE | {"implementation": "null"}, "implementation must be an object"),
    ("runs", DONE | {"settings": ""}, "Expecting value"),
    ("runs", DONE | {"settings": '{"train": 1}'}, "settings must be groups of settings"),
    ("protocols", {"protocol": "p", "details": "[1]"}, "details must be an object"),
    ("codes", COUNTS | {"counts": None}, "counts that are none"),
    ("codes", COUNTS | {"counts": []}, "counts that are none"),
    ("codes", COUNTS | {"counts": [0, 0]}, "counts that are none"),
    ("codes", COUNTS | {"counts": [3, -1]}, "counts that are none"),
    ("codes", COUNTS | {"counts": [3, None]}, "counts that are none"),
]
STRANGE = [  # rows that are read: no number is one, a measurement may be infinite
    ("metrics", {"metric": "mse", "value": math.nan}),
    ("metrics", {"metric": "mse", "value": math.inf}),
    ("metrics", {"metric": "mse", "value": None}),
    ("metrics", {"metric": "mse", "value": 1e308}),
    ("curves", {"metric": "mse", "step": 1, "value": -1e308}),
    ("runs", {"status": None}),
    ("runs", DONE | {"wall_s": None, "versions": None, "settings": None}),
    ("codes", COUNTS),
]


@pytest.mark.parametrize(("table", "row", "reason"), FOREIGN)
def test_a_row_that_nobody_wrote_is_left_out(tmp_path, table, row, reason):
    tables.write(tmp_path, table, "x", [KEY | row])
    with pytest.warns(UserWarning, match=rf"skipped .*x\.parquet: {reason}"):
        assert tables.read(tmp_path, table).empty


@pytest.mark.parametrize(("table", "row"), STRANGE)
def test_a_row_that_is_only_strange_is_read(tmp_path, table, row):
    tables.write(tmp_path, table, "x", [KEY | row])
    assert len(tables.read(tmp_path, table)) == 1


def npy(shape, kind="<f8", content=b""):
    """An .npy file that says it has a shape."""
    header = str({"descr": kind, "fortran_order": False, "shape": shape}).ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + content


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\x03\x04", b"\x93NUMPY\x09\x00", npy((2**60,)), npy((100,)), npy((-3,)),
     npy((3,), "|O", bytes(24))],
    ids=["empty", "an archive", "another version", "huge", "torn", "negative", "objects"],
)  # fmt: skip
def test_an_array_of_a_job_that_is_none_is_named(tmp_path, content):
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.warns(UserWarning, match=r"skipped .*x\.npy: "):
        assert images.array(tmp_path / "x.npy") is None


def test_an_array_of_a_job_is_read(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(6).reshape(2, 3))
    assert images.array(tmp_path / "x.npy").tolist() == [[0, 1, 2], [3, 4, 5]]
