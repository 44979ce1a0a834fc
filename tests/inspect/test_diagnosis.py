"""``diagnose`` of a monitor's history: cause, evidence, remedies with what rows say of them."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from typer.testing import CliRunner

from collapsebench import CodebookMonitor, inspect, metrics
from collapsebench.cli import app
from collapsebench.inspect import diagnosis, remedies
from collapsebench.results import tables
from collapsebench.settings import UserError


@pytest.fixture
def fallen(tmp_path):
    """A history whose codebook is used by all codes, then by one."""
    monitor = CodebookMonitor(8, out=tmp_path / "codes.parquet")
    monitor.update(np.arange(800) % 8)
    monitor.compute()
    monitor.update(np.zeros(800, int))
    monitor.compute()
    return tmp_path / "codes.parquet"


def test_a_fall_and_its_cause_are_named(fallen):
    (found,) = diagnosis.diagnose(fallen)
    assert found.falling == "collapsing: 8 → 1 since step 1"
    assert [one.cause for one in found.findings] == ["domination"]
    assert found.findings[0].evidence == "one code has 100 % of all tokens"
    assert "perplexity 1.0 of 8" in found.summary


def test_a_healthy_codebook_has_no_diagnosis(tmp_path):
    monitor = CodebookMonitor(8, out=tmp_path / "codes.parquet")
    monitor.update(np.arange(800) % 8)
    monitor.compute()
    (found,) = diagnosis.diagnose(tmp_path / "codes.parquet")
    assert (found.findings, found.advice) == ([], [])
    assert found.text().endswith("no diagnosis")


def frozen(folder, usages):
    """A baseline of two methods in one comparison: method -> usage of each seed."""
    rows = [
        {"job_id": f"{method}{seed}", "stage_id": f"{method}{seed}", "stage": "encode",
         "config_id": method, "comparison_id": "same", "method": method, "dataset": "digits",
         "codebook_size": 512, "seed": seed, "metric": "usage", "split": "test", "value": value}
        for method, values in usages.items() for seed, value in enumerate(values)
    ]  # fmt: skip
    tables.write(folder / "made_up", "metrics", "rows", rows)


def test_an_effect_is_that_of_frozen_rows(tmp_path):
    frozen(tmp_path, {"vq_vae": [0.40, 0.42], "vq_reset": [0.80, 0.84]})
    (effect,) = remedies.effects(remedies.REPLACE, 1024, tmp_path)
    assert effect.change == pytest.approx(1.0)
    assert (effect.method, effect.against, effect.codebook_size) == ("vq_reset", "vq_vae", 512)
    assert effect.low < 1.0 < effect.high
    assert effect.words.startswith("vq_reset: usage +100 % (")


def test_without_rows_of_both_there_is_no_effect(tmp_path):
    frozen(tmp_path, {"vq_reset": [0.80, 0.84]})
    assert remedies.effects(remedies.REPLACE, 512, tmp_path) == []
    assert remedies.effects(remedies.FROM_DATA, 512, tmp_path) == []
    assert diagnosis.Advice("try", []).measured == ["no rows on this"]


def test_every_cause_has_remedies():
    from collapsebench.monitor.causes import CAUSES

    assert set(remedies.REMEDIES) == set(CAUSES)


def test_inspect_reads_a_history(fallen):
    found = inspect.inspect(fallen)
    counts = np.array([900] + [100] * 7)
    assert found.uses[0].values["perplexity"] == metrics.perplexity(counts)
    assert list(found.uses[0].seen) == [800, 1600]
    assert found.verdict == "healthy"
    with pytest.raises(UserError, match="says sizes, codes and padding itself"):
        inspect.inspect(fallen, 8)


def test_the_commands_print_it(fallen, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save(tmp_path / "tokens.npy", np.array([[0] * 9 + [1] * 3] * 40))
    lines = [f"diagnose {fallen}", f"diagnose {fallen} --json"]
    lines += [f"inspect {fallen} --to html", "inspect tokens.npy -K 4 --to html"]
    said = [CliRunner().invoke(app, line.split()).output for line in lines]
    assert "domination: one code has 100 % of all tokens" in said[0]
    assert json.loads(said[1])[0]["findings"][0]["cause"] == "domination"
    page = (tmp_path / "inspection" / "codes.html").read_text()
    assert "<h2>Diagnosis</h2>" in page
    assert "Collapsing: 8 → 1 since step 1." in page
    assert "one code has 75 % of all tokens" in (tmp_path / "inspection/tokens.html").read_text()


def test_what_is_no_history_is_one_line(tmp_path):
    np.save(tmp_path / "tokens.npy", np.zeros(3, int))
    with pytest.raises(UserError, match="no history of a CodebookMonitor"):
        diagnosis.diagnose(tmp_path / "tokens.npy")
    with pytest.raises(UserError, match="no such file"):
        diagnosis.diagnose(tmp_path / "nothing.parquet")


def interruptible():
    """Signals as at a terminal; the tests may run in the background, where Ctrl-C is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_watch_says_what_changes_until_it_is_stopped(fallen):
    command = [sys.executable, "-m", "collapsebench", "diagnose", str(fallen), "--watch"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ,
                               preexec_fn=interruptible)  # fmt: skip
    assert "perplexity 1.0 of 8" in process.stdout.readline()
    monitor = CodebookMonitor(8, out=fallen)
    monitor.update(np.arange(800) % 8)
    monitor.compute()
    while "perplexity 8.0 of 8" not in process.stdout.readline():
        time.sleep(0)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 0
