"""Every link of every page in the repository leads somewhere; the sample is what is built today."""

import functools
import html
import re
import subprocess
from pathlib import Path

import pytest

from collapsebench.report import page as pages
from collapsebench.report import sections
from collapsebench.report.blocks import collect
from collapsebench.report.data import ReportData
from collapsebench.report.tables import Table
from tests import sample

ROOT = Path(__file__).parent.parent
OUTSIDE = ("https://", "http://", "mailto:", "data:")


def committed():
    """Pages that git knows, or all of a copy without git, outside of hidden and built folders."""
    listed = subprocess.run(
        ["git", "ls-files", "*.md", "*.html"], cwd=ROOT, capture_output=True, text=True
    )
    names = listed.stdout.splitlines() or [
        str(path.relative_to(ROOT))
        for folder in ("", "docs", "reports", "reports/sample", "baselines", "results")
        for path in sorted((ROOT / folder).iterdir())
        if path.suffix in (".md", ".html")
    ]
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def links(page):
    """Addresses in a page: of its elements, or of Markdown outside of code."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".md":
        text = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
        return re.findall(r"\]\(\s*<?([^)\s>]+)", text)
    return [html.unescape(link) for link in re.findall(r'\s(?:href|src)="([^"]*)"', text)]


@functools.cache
def anchors(page):
    """What a link may name within a page."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".html":
        return set(re.findall(r'\sid="([^"]+)"', text))
    heads = re.findall(r"^#+ +(.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def broken(page):
    """The links of a page that lead nowhere."""
    for link in links(page):
        if link.startswith(OUTSIDE):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield link


def test_every_link_leads_somewhere():
    found = committed()
    assert {"README.md", "index.html", "report.md"} <= {page.name for page in found}
    dead = {str(page.relative_to(ROOT)): list(broken(page)) for page in found}
    assert {name: links for name, links in dead.items() if links} == {}


def test_a_dead_link_is_found(tmp_path):
    (tmp_path / "a.md").write_text("# One\n[b](b.html#x) [c](c.md) `[d](d)` [e](#one) [f](#two)")
    (tmp_path / "b.html").write_text('<p id="y"><a href="a.md">a</a> <img src="g.png">')
    assert list(broken(tmp_path / "a.md")) == ["b.html#x", "c.md", "#two"]
    assert list(broken(tmp_path / "b.html")) == ["g.png"]


@pytest.mark.parametrize("name", sample.PAGES)
def test_the_sample_has_todays_numbers_and_looks(name):
    text = (sample.FOLDER / name).read_text(encoding="utf-8")
    assert (pages.HERE / "page.css").read_text(encoding="utf-8") in text
    assert (pages.HERE / "page.js").read_text(encoding="utf-8") in text
    grid, tag = sample.PAGES[name]
    data = ReportData(grid, sample.rows(tag))
    blocks = collect(data, only=(sections.TABLES, sections.COST)).all()
    tables = [block for block in blocks if isinstance(block, Table)]
    assert len(tables) >= 4
    for table in tables:
        for form in pages.forms(table).values():
            assert form in text
        if name == "index.html" and table.name == "table1":
            assert (sample.FOLDER / sample.TABLE).read_text() == pages.forms(table)["Markdown"]


@pytest.mark.slow
def test_the_sample_is_what_is_built_today(tmp_path):
    sample.write(tmp_path)
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (sample.FOLDER / path.name).read_bytes(), path.name
