"""``python -m tests.site``: the pages that mkdocs.yml builds a site of, in build/pages.

They are the repository's own Markdown and what it links, laid out alike; the commands as typer
describes them; and the examples as pages with what they print.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from tests.test_links import OUTSIDE, links

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "build" / "pages"
COMMANDS = "docs/commands.md"
SECTION = re.compile(r"^## `collapsebench (\S+)`\n\n(.+)$", re.MULTILINE)
LISTED = re.compile(r"^(\* `(\S+)`: )(.+\.\.\.)$", re.MULTILINE)  # cut short
CELL = re.compile(r"^# %%( \[markdown\])?\n", re.MULTILINE)


def listed(part):
    """Files of the navigation."""
    if isinstance(part, str):
        return [part]
    parts = part.values() if isinstance(part, dict) else part
    return [name for inner in parts for name in listed(inner)]


def copy(names, folder):
    """Copies pages and all that they link, however far."""
    waiting, seen = [ROOT / name for name in names], set()
    while waiting:
        path = waiting.pop().resolve()
        if path in seen or not path.is_file():
            continue
        seen.add(path)
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        if path.suffix == ".md" and path.relative_to(ROOT).as_posix() in names:
            inside = (
                link.partition("#")[0] for link in links(path) if not link.startswith(OUTSIDE)
            )
            waiting += [path.parent / link for link in inside if link]


def commands():
    """The reference of all commands, whose list says of each what its section begins with."""
    words = ["-m", "typer", "collapsebench.cli", "utils", "docs", "--name", "collapsebench"]
    page = python([*words, "--title", "Commands"], ROOT)
    begins = dict(SECTION.findall(page))
    return LISTED.sub(lambda found: f"{found[1]}{begins.get(found[2], found[3])}", page)


def example(path):
    """A percent-format script as a page: its prose, its code, and what it prints."""
    page = []
    cells = CELL.split(path.read_text(encoding="utf-8"))[1:]
    for prose, cell in zip(cells[::2], cells[1::2], strict=True):
        if prose:
            page.append("\n".join(line.removeprefix("# ") for line in cell.strip().splitlines()))
        else:
            page.append(f"```python\n{cell.strip()}\n```")
    with tempfile.TemporaryDirectory() as folder:
        printed = python([str(path)], Path(folder))
    return "\n\n".join(page + ([f"It prints:\n\n```\n{printed.strip()}\n```"] if printed else []))


def python(words, folder):
    """What a Python prints; "" where a package that it needs is not installed."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True
    )
    if ended.returncode and "ModuleNotFoundError" not in ended.stderr:
        raise RuntimeError(ended.stderr)
    return ended.stdout


def write(folder):
    """All pages."""
    shutil.rmtree(folder, ignore_errors=True)
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    names = listed(settings["nav"])
    copy(names, folder)
    (folder / COMMANDS).write_text(commands(), encoding="utf-8")
    (folder / "examples").mkdir(exist_ok=True)
    for name in names:
        if name.startswith("examples/"):
            text = example((ROOT / name).with_suffix(".py"))
            (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(PAGES)
    print(f"pages: {PAGES}")
