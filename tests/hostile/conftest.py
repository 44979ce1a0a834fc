"""The command line in this process: a call takes milliseconds, not the seconds of a start."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer

from collapsebench.cli import app, main
from tests.report.made_up import MadeUp

COMMANDS = typer.main.get_command(app)  # which typer otherwise builds anew at every call


@dataclass(frozen=True)
class Ended:
    """How a call ended: its exit code and what it printed."""

    code: int
    out: str
    err: str

    def refuses(self, line: str) -> None:
        """Asserts bad input: exit code 2, ``line`` in the one line on stderr."""
        assert self.code == 2, self.out + self.err
        assert line in self.err
        assert self.err.startswith("collapsebench: ")
        assert self.err.count("\n") == 1


Call = Callable[..., Ended]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """``call("plan", "-g", "x.toml")`` -> Ended, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys.modules["collapsebench.cli.app"], "app", COMMANDS)
    monkeypatch.setenv("COLLAPSEBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["collapsebench", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        return Ended(code if isinstance(code, int) else 0, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def made_up(tmp_path_factory):
    """The results of one method's jobs, which no test may change."""
    results = tmp_path_factory.mktemp("made_up") / "results"
    return MadeUp(results, stages=("train", "encode"), methods=("edvae",), points=2).write()


@pytest.fixture
def results(made_up, tmp_path):
    """A copy of them in the test's folder."""
    return shutil.copytree(made_up, tmp_path / "results")
