"""README as a newcomer takes it: its commands are understood, its outputs are what is printed."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import typer

from collapsebench.cli import app
from collapsebench.report.data import ReportData
from tests import sample

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(text, language):
    return [code for name, code in BLOCK.findall(text) if name == language]


def commands(page):
    """Command lines of a page's blocks, without prompt and comment."""
    text = page.read_text(encoding="utf-8")
    for code in (*blocks(text, ""), *blocks(text, "sh"), *blocks(text, "bash")):
        for line in re.split(r"(?<!\\)\n| && ", code):
            line = line.removeprefix("$ ").replace("\\\n", " ")
            if line.startswith("collapsebench "):
                yield shlex.split(line, comments=True)[1:]


def understood(words):
    """Parses a command's words as the program does, and starts nothing."""
    group = typer.main.get_command(app)
    with group.make_context("collapsebench", [], resilient_parsing=True) as context:
        while words and hasattr(group, "get_command"):
            name, group, words = group.resolve_command(context, words)
        assert group is not None, f"no command {name}"
        group.make_context(name, words, parent=context)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_is_understood(page):
    for words in commands(page):
        understood(words)


def test_the_check_of_commands_can_fail():
    assert len(list(commands(ROOT / "README.md"))) > 10
    for words in (["report", "--gird", "tables"], ["reprot"], ["plan", "tables"]):
        with pytest.raises(Exception, match=r"No such|unexpected|no command"):
            understood(words)


@pytest.fixture
def tokens(tmp_path, monkeypatch):
    """README's ``tokens.npy``, in the working folder."""
    rng = np.random.default_rng(0)
    np.save(tmp_path / "tokens.npy", np.minimum(rng.geometric(0.06, (5000, 8, 8)), 1024) - 1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")


def test_the_inspection_is_what_is_printed(tokens, capsys):
    line, _, wanted = next(c for c in blocks(README, "") if "inspect" in c).partition("\n")
    app(shlex.split(line)[2:], standalone_mode=False)
    said = capsys.readouterr().out
    assert [one.strip() for one in said.split("\n") if one.strip()] == [
        one.strip() for one in wanted.split("\n") if one.strip()
    ]


def test_python_says_the_same(tokens):
    code = blocks(README, "python")[0]
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(compile(code, "README.md", "exec"), {})
    assert said.getvalue() == "43.9 of 1024, 853 dead, collapsed: True\n"


def test_the_figures_story_is_what_the_rows_say():
    grid, tag = sample.PAGES["index.html"]
    never = {16: set(), 64: set(), 256: set()}  # who collapsed in no run on the digits
    for variant, comparison, group in ReportData(grid, sample.rows(tag)).cells():
        if comparison.dataset == "digits" and not group.collapsed:
            never[comparison.codebook_size].add(variant.label)
    assert [len(never[size]) for size in (16, 64, 256)] == [4, 1, 0]
    assert never[64] == {"VQ-STE++"}
    assert "four of the six never\ncollapse with 16 codes" in README


def test_what_is_to_be_run_can_be_planned(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    app(["new-method", "my_vq"], standalone_mode=False)
    runs = [
        words for words in commands(ROOT / "README.md") if words[0] == "run" and "demo" in words
    ]
    assert len(runs) == 2
    for words in runs:
        with pytest.raises(SystemExit, match=r"^0$"):
            app([*words, "--dry-run"], standalone_mode=False)
    said = capsys.readouterr().out
    assert "108 jobs: 36 cells × 3 seeds" in said
