"""The file of a monitor: what is in it, how it goes on, and what it never overwrites."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from collapsebench import CodebookMonitor, metrics
from collapsebench.monitor import history
from collapsebench.settings import UserError


def test_each_window_is_a_row_and_the_last_has_the_counts(tmp_path):
    monitor = CodebookMonitor(4, out=tmp_path / "codes.parquet")
    monitor.update(np.array([0, 1, 2, 3]))
    monitor.compute()
    monitor.update(np.array([0, 0]))
    monitor.compute()
    first, last = history.read(tmp_path / "codes.parquet")
    assert [first["updates"], last["updates"]] == [1, 2]
    assert first["counts"] is None
    assert (last["counts"], last["window_counts"]) == ([3, 1, 1, 1], [2, 0, 0, 0])
    assert last["window_usage"] == 0.25
    assert last["perplexity"] == metrics.perplexity(np.array([3, 1, 1, 1]))
    assert last["never_chosen"] == 0


def test_a_row_says_when_its_window_ended_whatever_was_given(tmp_path):
    monitor = CodebookMonitor(4, out=tmp_path / "codes.parquet")
    for _ in range(3):
        monitor.update(np.array([0, 1]), np.eye(2), np.eye(4)[:, :2])
    monitor.compute()
    assert monitor.readings[0].evidence.updates == 3
    (row,) = history.read(tmp_path / "codes.parquet")
    assert (row["updates"], row["moved"], row["z_e_variance"]) == (3, 0.0, 0.25)


def test_a_long_history_keeps_its_newest_and_every_other_older_window(tmp_path, monkeypatch):
    monkeypatch.setattr(history, "WINDOWS", 4)
    monitor = CodebookMonitor(2, out=tmp_path / "codes.parquet")
    for _ in range(7):
        monitor.update(np.array([0, 1]))
        monitor.compute()
    assert [row["updates"] for row in history.read(tmp_path / "codes.parquet")] == [4, 6, 7]


def test_a_restored_monitor_drops_the_windows_beyond_its_state(tmp_path):
    monitor = CodebookMonitor(4, out=tmp_path / "codes.parquet")
    for token in range(3):
        monitor.update(np.array([token]))
        monitor.compute()
        if token == 1:
            state = monitor.state_dict()
    again = CodebookMonitor(4, out=tmp_path / "codes.parquet")
    again.load_state_dict(state)
    again.update(np.array([3]))
    again.compute()
    rows = history.read(tmp_path / "codes.parquet")
    assert [row["updates"] for row in rows] == [1, 2, 3]
    assert rows[-1]["counts"] == [1, 1, 0, 1]


def test_only_a_history_is_written_over(tmp_path):
    (tmp_path / "tokens.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"tokens.parquet: is there, and no history"):
        CodebookMonitor(4, out=tmp_path / "tokens.parquet")
    with pytest.raises(UserError, match=r"ends in \.parquet"):
        CodebookMonitor(4, out=tmp_path / "codes.csv")


@pytest.mark.parametrize(
    ("column", "value", "line"),
    [
        ("tokens", -1, "no window has -1 tokens"),
        ("tokens", 2**62, "tokens"),
        ("tokens", 0, "a window with a perplexity and without tokens or usage"),
        ("updates", None, "no window has None updates"),
        ("codebook_size", 0, "no window has a codebook of 0 codes"),
        ("window_usage", None, "a window with a perplexity and without tokens or usage"),
        ("tokens", "many", "cannot be read: "),
    ],
)
def test_a_window_that_no_monitor_wrote_is_refused(tmp_path, column, value, line):
    path = tmp_path / "codes.parquet"
    monitor = CodebookMonitor(4, out=path)
    monitor.update(np.array([0, 1, 2, 3]))
    monitor.compute()
    table = pq.read_table(path)
    place = table.column_names.index(column)
    pq.write_table(table.set_column(place, column, pa.array([value])), path)
    with pytest.raises(UserError, match=line):
        history.read(path)
