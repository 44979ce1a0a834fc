"""README as a newcomer takes it: its commands are understood, its outputs are what is printed."""

import contextlib
import io
import re
import shlex
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import typer

from collapsebench import stats
from collapsebench.cli import app
from collapsebench.report.assertions import CONTRADICTED, SUPPORTED, judged
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
    grid, tag = sample.PAGES["collapse.html"]
    cells = {v.label: g for v, _, g in ReportData(grid, sample.rows(tag)).cells()}
    even, error = (
        {label: np.mean(list(values.values())) for label, group in cells.items()
         if (values := group.values(metric, "test"))}
        for metric in ("relative_perplexity", "mse")
    )  # fmt: skip
    assert len(even) == 23  # all but the one without a codebook
    assert sum(cells[label].collapsed > 0 for label in even) == 7
    assert sum(share > 0.8 for share in even.values()) == 10
    assert max(even, key=even.get) == "entropy VQ"
    assert error["entropy VQ"] > 2 * max(error["VQ-reset"], error["Wasserstein VQ"])
    assert min(even["VQ-reset"], even["Wasserstein VQ"]) > 0.8


def test_what_it_says_of_claims_is_what_the_rows_say():
    data = ReportData("claims", sample.rows("cifar10_5k_claims"))
    verdicts = Counter(one.verdict for one in judged(data))
    assert verdicts == {SUPPORTED: 11, CONTRADICTED: 4, stats.CANT_TELL: 6}
    assert "of 21 lines eleven are supported" in README
    without = {group.first.codebook_size: group.collapsed for *_, group in data.cells()
               if group.first.settings_label == "threshold=0"}  # fmt: skip
    assert without == {512: 0, 2048: 3}  # of three seeds


def test_what_is_to_be_run_can_be_planned(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    app(["new-method", "my_vq"], standalone_mode=False)
    runs = [
        words for words in commands(ROOT / "README.md") if words[0] == "run" and "demo" in words
    ]
    assert len(runs) == 2  # without a download
    for words in runs:
        with pytest.raises(SystemExit, match=r"^0$"):
            app([*words, "--dry-run"], standalone_mode=False)
    said = capsys.readouterr().out
    assert "108 jobs: 36 cells × 3 seeds" in said
