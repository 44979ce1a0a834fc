"""The commands freeze, check and compare, by exit code and by what they leave behind."""

import json
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from collapsebench.cli import app
from collapsebench.settings import UserError
from tests.report.made_up import MadeUp


def command(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Results of seeds 0-9, frozen as `mine`, and of three others."""
    folder = tmp_path_factory.mktemp("commands")
    for name, seeds in (("old", range(10)), ("new", (101, 102, 103))):
        MadeUp(
            folder / name, methods=("edvae",), seeds=tuple(seeds), stages=("train", "encode"),
            values={("edvae", "digits", "perplexity", "test"): [40 + s % 7 / 10 for s in seeds]},
        ).write()  # fmt: skip
    result = command("freeze", "mine", "-g", "demo", "-r", folder / "old", "-o", folder / "frozen")
    assert result.output == f"frozen: {folder / 'frozen' / 'mine'}\n"
    return folder


def test_check_exits_0_and_writes_what_was_asked_for(place, tmp_path):
    files = tmp_path / "check.xml", tmp_path / "badge.json"
    result = command(
        "check", "-b", "mine", "-l", "2", "-r", place / "new", "--baselines", place / "frozen",
        "--junit", files[0], "--badge", files[1], "--fail-on", "worse",
    )  # fmt: skip
    assert result.exit_code == 0
    assert "EdVAE · digits · 64×8 · perplexity" in result.output
    assert ElementTree.parse(files[0]).getroot().get("tests") == "2"
    assert json.loads(files[1].read_text())["schemaVersion"] == 1


def test_check_exits_4_where_nothing_was_measured(place, tmp_path):
    result = command(
        "check", "-b", "mine", "-l", "2", "-r", tmp_path, "--baselines", place / "frozen",
        "--json", "--fail-on", "worse",
    )  # fmt: skip
    assert result.exit_code == 4
    assert json.loads(result.output)["verdict"] == "nothing measured"


def test_compare_prints_a_line_per_metric(place):
    result = command("compare", place / "new", "mine", "--baselines", place / "frozen")
    assert result.exit_code == 0
    assert [line.split("·")[-1].split(":")[0].strip() for line in result.output.splitlines()] == [
        "perplexity", "mse", "better, worse",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("freeze",), "say what: freeze TAG"),
        (("check", "--fail-on", "ok"), "--fail-on 'ok' must be one of unsure, worse"),
        (("check", "-l", "two"), "--level 'two' must be whole numbers"),
        (("check", "-b", "nobody", "-l", "2"), "no baseline 'nobody'"),
    ],
)
def test_bad_input_is_one_line(words, message):
    error = command(*words).exception
    assert isinstance(error, UserError)
    assert message in str(error)


def test_level_2_never_loads_torch(place):
    code = (
        "import sys; from pathlib import Path; from collapsebench.check.run import Request, check;"
        f"check((2, 3), Request('mine', Path({str(place / 'new')!r}), "
        f"given=Path({str(place / 'frozen')!r}))); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
