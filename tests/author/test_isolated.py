"""A subject that misbehaves is ended and named; the command's words, codes and forms."""

import json

import pytest
from typer.testing import CliRunner

from collapsebench.author.lint import isolated
from collapsebench.author.lint.request import LintRequest
from collapsebench.cli import app
from collapsebench.settings import UserError

HEAD = """
import os, sys, time
import torch
from tests.author.faults.right import PlainVQ

class Odd(PlainVQ):
    def forward(self, z):
        {body}
        return super().forward(z)
"""


def odd(tmp_path, body):
    path = tmp_path / "odd.py"
    path.write_text(HEAD.format(body=body))
    return isolated.lint(LintRequest(str(path)))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("sys.exit(3)", "SystemExit: 3"),
        pytest.param("os.fork()", "it forks a process: odd.py:8", marks=pytest.mark.slow),
        ("os._exit(4)", "the process ended in it, exit code 4"),
        pytest.param("self.big = torch.ones(10**11)", "can't allocate", marks=pytest.mark.slow),
    ],
    ids=["exits", "forks", "dies", "fills"],
)
def test_odd_subject_is_named(tmp_path, body, said):
    finding = odd(tmp_path, body)["runs"]
    assert said in finding.text
    if finding.trace:
        assert finding.line.startswith("odd.py:8: ")
        assert "collapsebench/" not in finding.trace.replace(str(tmp_path), "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "said"),
    [("while True: pass", "did not end within 10 s"), ("time.sleep(1e6)", "waits without end")],
)
def test_endless_subject_is_ended(tmp_path, body, said):
    assert said in odd(tmp_path, body)["runs"].text


def test_what_cannot_be_recognised_is_said_with_its_option(tmp_path):
    path = tmp_path / "odd.py"
    path.write_text(HEAD.format(body="return super().forward(z)[0]"))
    found = isolated.lint(LintRequest(str(path)))
    assert found.exit_code == 3
    assert "tokens not found" in found["runs"].text
    assert "--outputs tokens=PLACE" in found["runs"].text


def test_an_unknown_word_is_bad_input():
    with pytest.raises(UserError, match="has no class 'PlainQV'; did you mean 'PlainVQ'"):
        isolated.lint(LintRequest("tests.author.faults.right:PlainQV"))


def test_the_command_prints_and_exits():
    command = ["lint", "tests/author/faults/half_a_lattice.py", "--json", "--github"]
    done = CliRunner().invoke(app, command)
    report, _, annotations = done.stdout.rpartition("}\n")
    assert done.exit_code == 1
    assert json.loads(report + "}")["exit_code"] == 1
    assert "::error title=tests/author/faults/half_a_lattice.py reachable::K " in annotations
