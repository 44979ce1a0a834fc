"""One word, one thing; every module on a floor; docs that say what the code says."""

import ast
import re
import tomllib
from collections import defaultdict
from pathlib import Path

import collapsebench
from collapsebench import metrics
from collapsebench.plan import registry
from collapsebench.quantities import RECORDS

PACKAGE = Path(collapsebench.__file__).parent
ROOT = PACKAGE.parent
PLUG_INS = [PACKAGE / folder for folder in (*registry.FOLDERS.values(), "report/views")]


def words(path):
    """Names of the classes, type aliases and type variables that a module defines."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        yield from (name for name in names if name[0].isupper() and not name.isupper())


def is_plug_in(path):
    """Whether a file is one of many of a kind, whose names its contract decides."""
    return path.parent in PLUG_INS and not path.name.startswith("_")


def test_one_word_is_one_thing():
    places = defaultdict(list)
    for path in PACKAGE.rglob("*.py"):
        for word in words(path) if not is_plug_in(path) else ():
            places[word].append(str(path.relative_to(PACKAGE)))
    assert len(places) > 100
    assert {word: files for word, files in places.items() if len(files) > 1} == {}


def test_every_module_is_on_a_floor():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = settings["tool"]["importlinter"]["contracts"][0]
    floors = {name.strip() for floor in contract["layers"] for name in floor.split("|")}
    modules = {path.stem for path in PACKAGE.glob("*.py") if not path.stem.startswith("_")}
    modules |= {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert floors == modules
    tree = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^  (\w+)(?:/|\.py) +\S", tree, re.MULTILINE)) == modules
    assert contract["exhaustive"]
    assert contract["exhaustive_ignores"] == ["__main__"]


def test_the_page_of_metrics_says_what_the_records_say():
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert rows == [f"| `{q.name}` | {q.axis} | {q.definition} | {q.better} |" for q in RECORDS]
    assert metrics.COLLAPSED_DEFINITION.capitalize() in page
