"""The record of a grid: written once, read alike by every command, damaged or not."""

import json
import sys

import pytest

from collapsebench.cli import main
from collapsebench.results import grids
from collapsebench.settings import UserError
from tests.report.made_up import MadeUp

JOB = {
    "job_id": "a" * 16, "stage_ids": {"train": "a" * 16}, "method": "edvae", "label": "EdVAE",
    "settings_label": "", "network": "dalle", "dataset": "digits", "codebook_size": 8,
    "code_dim": 4, "seed": 1,
}  # fmt: skip


def record(**changes):
    return {"schema_version": 1, "name": "g", "jobs": [JOB | changes]}


DAMAGED = {
    "": "Expecting value",
    '{"jobs": [': "Expecting value",
    "\udcff": "invalid start byte",
    "[" * 100_000: "recursion",
    "[]": "must be an object, not []",
    '"text"': "must be an object, not 'text'",
    "null": "must be an object, not None",
    "{}": "'jobs' is missing",
    '{"jobs": {}}': "'jobs' must be a list, not {}",
    '{"jobs": []}': "it has no jobs",
    '{"jobs": [7]}': "job 0: must be an object, not 7",
    '{"schema_version": 2, "cells": []}': "schema version 2, this program knows 1",
    '{"schema_version": "1", "jobs": []}': "schema version '1', this program knows 1",
    json.dumps(record(seed="1")): "job 0: 'seed' must be a whole number, not '1'",
    json.dumps(record(seed=None)): "job 0: 'seed' must be a whole number, not None",
    json.dumps(record(seed=True)): "job 0: 'seed' must be a whole number, not True",
    json.dumps(record(config_id=5)): "job 0: 'config_id' must be a text, not 5",
    json.dumps(record(stage_ids={"train": 1})): "job 0: 'stage_ids' must hold a text each",
    json.dumps(record(settings={"train": 3})): "job 0: 'settings' must hold an object each",
    json.dumps(record(job_id="../../elsewhere")): "job 0: '../../elsewhere' is no job id",
    json.dumps(record(stage_ids={"dance": "0f"})): "job 0: 'dance' is no stage",
    json.dumps(record(codebook_size=-1)): "job 0: a codebook of -1 codes",
    json.dumps(record() | {"title": 3}): "'title' must be a text, not 3",
    json.dumps(record() | {"stages": [1]}): "'stages' must hold a text each",
    json.dumps({"jobs": [{k: v for k, v in JOB.items() if k != "method"}]}): "'method' is missing",
}


@pytest.fixture
def call(monkeypatch, capsys):
    """``call("status", "-r", folder)`` -> (exit code, stderr) of the program."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["collapsebench", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, capsys.readouterr().err

    return run


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A folder where the grid ``demo`` was run."""
    folder = tmp_path_factory.mktemp("results")
    return MadeUp(folder, methods=("edvae",), stages=("train", "encode"), files=False).write()


def damage(results, content):
    path = results / "grids" / "torn.json"
    path.write_text(content, encoding="utf-8", errors="surrogateescape")
    return path


@pytest.mark.parametrize(("content", "reason"), DAMAGED.items(), ids=lambda text: text[:24])
def test_a_damaged_record_is_one_line_that_names_it(tmp_path, content, reason):
    (tmp_path / "grids").mkdir()
    path = damage(tmp_path, content)
    with pytest.raises(UserError) as caught:
        grids.read(tmp_path, "torn")
    said = str(caught.value)
    assert said.startswith(f"{path} cannot be read: ")
    assert reason in said
    assert "\n" not in said


@pytest.mark.parametrize("content", ['{"jobs": [', "[]", '{"schema_version": 9}'])
@pytest.mark.parametrize(
    "words",
    [["report", "-g", "torn"], ["report", "-g", "torn", "--to", "term"], ["status", "-g", "torn"],
     ["check", "-l", "3", "-g", "torn"], ["freeze", "torn"], ["retry", "--failed", "-g", "torn"],
     ["cancel", "-g", "torn"], ["gc", "-g", "torn"]],
    ids=" ".join,
)  # fmt: skip
def test_every_command_says_so_with_exit_code_2(
    results, call, tmp_path, monkeypatch, words, content
):
    damage(results, content)
    monkeypatch.chdir(tmp_path)
    code, said = call(*words, "-r", results)
    assert code == 2
    assert said.startswith(f"collapsebench: {results / 'grids' / 'torn.json'} cannot be read: ")
    assert len(said.splitlines()) == 1


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    "words", [["report", "--to", "md"], ["status"], ["check", "-l", "3"], ["gc", "--dry-run"]],
    ids=" ".join,
)  # fmt: skip
def test_where_all_grids_are_meant_the_others_are_shown(
    results, call, tmp_path, monkeypatch, words
):
    damage(results, "{")
    monkeypatch.chdir(tmp_path)
    with pytest.warns(UserWarning, match=r"skipped: .*torn\.json cannot be read"):
        code, _ = call(*words, "-r", results)
    assert code == (4 if words[0] == "check" else 0)  # nothing of it is in print
    if words[0] == "report":
        assert (tmp_path / "reports" / "demo").is_dir()


def test_what_is_written_is_read_and_nothing_else(tmp_path):
    head = {"title": "T", "reproduces": ["table1"], "scale": "demo", "scale_note": "",
            "stages": ["train"], "command": "collapsebench run"}  # fmt: skip
    ids = {"config_id": "b", "comparison_id": "c", "kind": "paper", "scale": "demo"}
    job = JOB | ids | {"settings": {"train": {"steps": 5}}}
    grids.write(tmp_path, {"name": "g"} | head | {"jobs": [job | {"files": {}, "code": {}}]})
    assert grids.names(tmp_path) == ["g"]
    assert grids.read(tmp_path, "g") == {"schema_version": 1, "name": "g"} | head | {"jobs": [job]}


def test_without_its_ids_a_job_shares_no_cell(tmp_path):
    (tmp_path / "grids").mkdir()
    grids.path(tmp_path, "g").write_text(json.dumps({"jobs": [JOB, JOB | {"job_id": "b" * 16}]}))
    first, second = grids.read(tmp_path, "g")["jobs"]
    assert first["config_id"] != second["config_id"]
    assert first["comparison_id"] != second["comparison_id"]
