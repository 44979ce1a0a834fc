import time
from datetime import datetime, timedelta

import pytest

from collapsebench.launch import limits
from collapsebench.settings import UserError


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("90m", 5400), ("1.5h", 5400), ("2d", 172_800)]
)
def test_durations(text, seconds):
    assert limits.seconds("--timeout", text) == seconds


@pytest.mark.parametrize("text", ["90", "h", "-1h", "1h30m", ""])
def test_a_duration_without_unit_is_refused(text):
    with pytest.raises(UserError, match=r"--timeout .* must be a number and s, m, h or d"):
        limits.seconds("--timeout", text)


def test_a_time_of_day_is_its_next_occurrence():
    for minutes in (-1, 5):  # just gone: tomorrow
        at = datetime.now() + timedelta(minutes=minutes)
        found = limits.clock(at.strftime("%H:%M"))
        assert 0 < found - time.time() <= 86_400
        assert datetime.fromtimestamp(found).strftime("%H:%M") == at.strftime("%H:%M")


def test_the_earlier_limit_holds():
    assert limits.deadline(None, None) is None
    later = (datetime.now() + timedelta(hours=3)).strftime("%H:%M")
    assert limits.deadline(later, "1h") == pytest.approx(time.time() + 3600, abs=5)
    assert limits.deadline(later, "100h") == limits.clock(later)
    with pytest.raises(UserError, match="--until '9' must be a time like 09:00"):
        limits.deadline("9", None)
