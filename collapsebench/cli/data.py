"""What ``collapsebench data prepare | verify | list`` do, as functions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from collapsebench.datasets import Dataset, _cache
from collapsebench.plan import registry
from collapsebench.settings import Data, Train, UserError


@dataclass(frozen=True)
class Listed:
    """One line of ``data list``.

    Attributes:
        name: the dataset's id.
        present: "prepared" (decoded), "there" (its files are), or "missing".
        where: the folder of the decoded arrays, or what is missing and where it belongs.
        size: bytes of the decoded arrays, 0 if not prepared.
        content_hash: names the content; empty where only the files could tell.
        fix: the command that provides what is missing.
    """

    name: str
    present: str
    where: str
    size: int
    content_hash: str
    fix: str = ""


def dataset(name: str) -> Dataset:
    """The dataset of a name or of a path ending in ``.py``.

    Raises:
        UserError: no such dataset.
    """
    found: Dataset = registry.only_subclass(registry.find("datasets", name), Dataset)()
    return found


def prepare(name: str, settings: Data, root: Path, download: bool) -> Path:
    """Decodes a dataset into its cache, fetching its files first if they are missing and asked for.

    Returns:
        The folder of the decoded arrays.

    Raises:
        UserError: missing, corrupt or truncated files, or a failed download.
    """
    chosen = dataset(name)
    if download and chosen.missing(settings, root):
        root.mkdir(parents=True, exist_ok=True)
        chosen.download(root)
    chosen.load(settings, root)
    return chosen.entry(settings, root)


def description(name: str, settings: Data, root: Path) -> list[str]:
    """What a prepared dataset holds: items per split, and what a person should know of them."""
    chosen = dataset(name)
    items = chosen.load(settings, root)
    count, batch = len(items.train), Train().batch_size
    lines = [items.held, *chosen.notes(settings, root)]
    if count < batch:
        lines.append(
            f"{count} train {items.form.noun} are fewer than a batch of {batch} "
            "(train.batch_size): every step will see all of them"
        )
    return lines


def verify(name: str, settings: Data, root: Path) -> Path:
    """Compares the decoded arrays of a dataset with the hashes written when they were built.

    Returns:
        The folder that was checked.

    Raises:
        UserError: not prepared yet, or an array that is torn or changed, named.
    """
    folder = dataset(name).entry(settings, root)
    if not folder.is_dir():
        raise UserError(f"{name} is not prepared yet: run `collapsebench data prepare -d {name}`")
    _cache.verify(folder)
    return folder


def listing(settings: Data, root: Path) -> list[Listed]:
    """Every known dataset: whether it is there, where, how large, and its hash."""
    return [_listed(name, settings, root) for name in registry.names("datasets")]


def print_listing(rows: list[Listed]) -> None:
    """Prints a listing for a person: a line each, and what would mend it."""
    width = max(len(row.name) for row in rows)
    for row in rows:
        size = f"{row.size / 1e6:.0f} MB, " if row.size else ""
        print(f"{row.name:<{width}}  {row.present:<8}  {size}{in_short(row.where)}")
        if row.fix:
            print(f"{'':{width}}  fix: {row.fix}")


def in_short(line: str) -> str:
    """What is missing and where, without label and advice: "no a.zip and 4 more in ~/data"."""
    clauses = line.partition("; ")[0].split(": ")
    said = next((clause for clause in clauses if clause.startswith("no ")), clauses[-1])
    return said.replace(f"{Path.home()}/", "~/")


def _listed(name: str, settings: Data, root: Path) -> Listed:
    chosen = dataset(name)
    if line := chosen.missing(settings, root):
        content = _content(chosen, settings, root)
        return Listed(name, "missing", line, 0, content, chosen.remedy)
    folder = chosen.entry(settings, root)
    content = chosen.content_hash(settings, root)
    if not folder.is_dir():
        return Listed(name, "there", str(folder), 0, content)
    size = sum(file.stat().st_size for file in folder.iterdir())
    return Listed(name, "prepared", str(folder), size, content)


def _content(chosen: Dataset, settings: Data, root: Path) -> str:
    try:
        return chosen.content_hash(settings, root)
    except UserError:
        return ""
