"""The site has every page, and an example on it what it prints."""

from pathlib import Path

import pytest
import yaml

from tests import site

ROOT = Path(__file__).parent.parent


def test_every_page_and_example_is_in_the_navigation():
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    names = set(site.listed(settings["nav"]))
    docs = {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")}
    examples = {f"examples/{path.stem}.md" for path in (ROOT / "examples").glob("*.py")}
    others = {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "baselines/README.md"}
    assert names == docs | examples | others | {site.COMMANDS}


def test_an_example_is_prose_code_and_what_it_prints(tmp_path):
    path = tmp_path / "one.py"
    path.write_text("# %% [markdown]\n# # One\n# and a word\n\n# %%\nx = 1\nprint(x + 1)\n")
    assert site.example(path) == (
        "# One\nand a word\n\n```python\nx = 1\nprint(x + 1)\n```\n\nIt prints:\n\n```\n2\n```"
    )
    path.write_text("# %%\nimport no_such_package\n")
    assert site.example(path) == "```python\nimport no_such_package\n```"
    path.write_text("# %%\n1 / 0\n")
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        site.example(path)


def test_a_page_comes_with_all_that_it_links(tmp_path):
    site.copy(["docs/findings.md"], tmp_path)
    page = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
    assert (tmp_path / "docs" / "findings.md").read_text(encoding="utf-8") == page
    assert (tmp_path / "docs" / "gpu" / "curves.png").is_file()


def test_the_reference_names_every_command():
    text = site.commands()
    assert "## `collapsebench export`" in text
    assert "`--license" in text
