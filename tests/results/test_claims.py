"""Claims: one holder at a time, whoever dies and whenever."""

import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from collapsebench.results import claims
from collapsebench.results.claims import Claim, Taken, Watch

DIE_HOLDING = """
import os, sys
from pathlib import Path
from collapsebench.results.claims import Claim
Claim(Path(sys.argv[1])).__enter__()
os._exit(0)
"""


def write(folder, number, **values):
    holder = {"host": "elsewhere", "pid": 1, "started": 0.0, "token": "t", "beat": 0} | values
    claims.path(folder, number).write_text(json.dumps(holder))


def test_a_second_claim_is_refused_until_the_first_ends(tmp_path):
    with Claim(tmp_path):
        assert claims.held(tmp_path)
        with pytest.raises(Taken, match=r"is held by process \d+ on"), Claim(tmp_path):
            pass
    assert not claims.held(tmp_path)
    with Claim(tmp_path):
        assert claims.numbers(tmp_path) == [2]  # the released one was tidied away


def test_the_claim_of_a_dead_process_is_followed(tmp_path):
    subprocess.run([sys.executable, "-c", DIE_HOLDING, str(tmp_path)], check=True)
    assert claims.holder(tmp_path) is not None
    with Claim(tmp_path) as claim:
        assert claim.number == 2


def test_a_zombie_holds_nothing(tmp_path):
    zombie = subprocess.Popen([sys.executable, "-c", DIE_HOLDING, str(tmp_path)])
    while claims.holder(tmp_path) is None or claims.held(tmp_path):
        assert zombie.returncode is None  # nobody has waited for it yet
        time.sleep(0.02)
    zombie.wait()


def test_a_process_id_used_again_holds_nothing(tmp_path):
    with Claim(tmp_path) as claim:
        write(tmp_path, 1, **claim.me | {"started": claim.me["started"] - 100})
        assert not claims.held(tmp_path)


def test_of_many_takers_of_a_stale_claim_one_wins(tmp_path):
    for i in range(20):
        folder = tmp_path / str(i)
        folder.mkdir()
        write(folder, 1, host=claims.platform.node(), pid=2**22 + 1)  # no such process
        gate, won = threading.Barrier(8), []

        def take(folder=folder, gate=gate, won=won):
            claim = Claim(folder)
            gate.wait()
            try:
                claim.__enter__()
            except Taken:
                return
            won.append(claim)

        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(take) for _ in range(8)]:
                done.result()
        assert len(won) == 1
        won[0].__exit__(None, None, None)


def test_another_hosts_claim_is_stale_after_several_readings_without_a_beat(tmp_path):
    write(tmp_path, 1)
    watch = Watch(interval_s=0.0)
    readings = [watch.free(tmp_path) for _ in range(claims.SILENT_READINGS + 1)]
    assert readings == [False] * claims.SILENT_READINGS + [True]


def test_another_hosts_beat_starts_the_readings_anew(tmp_path):
    watch = Watch(interval_s=0.0)
    for beat in range(3 * claims.SILENT_READINGS):
        write(tmp_path, 1, beat=beat // 2)
        assert not watch.free(tmp_path)


def test_readings_count_only_if_an_interval_lies_between_them(tmp_path):
    write(tmp_path, 1)
    watch = Watch(interval_s=60.0)
    assert not any(watch.free(tmp_path) for _ in range(5 * claims.SILENT_READINGS))


def test_the_heart_beats_during_a_long_step(tmp_path):
    with Claim(tmp_path, beat_s=0.02):
        time.sleep(0.5)  # a step that reports nothing
        assert claims.holder(tmp_path)["beat"] >= 5


def test_who_was_followed_knows_it_and_releases_nothing(tmp_path):
    with Claim(tmp_path, beat_s=3600) as claim:  # at once: it may have slept for long
        assert not claim.lost
        write(tmp_path, 2)
        assert claim.lost
    assert claims.holder(tmp_path)["host"] == "elsewhere"


def test_waiting_ends_with_the_other_claim(tmp_path):
    first = Claim(tmp_path).__enter__()
    threading.Timer(0.2, lambda: first.__exit__(None, None, None)).start()
    with Claim(tmp_path, wait=lambda: True, beat_s=0.05) as claim:
        assert claim.number == 2


def test_a_torn_claim_is_nobodys(tmp_path):
    claims.path(tmp_path, 1).write_text('{"host": "else')
    with Claim(tmp_path) as claim:
        assert claim.number == 2
