"""What a cluster wants to know: ``collapsebench.toml``, never part of a grid or an id."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import typer

from collapsebench.plan import registry
from collapsebench.plan.toml import read_toml
from collapsebench.settings import UserError, build, did_you_mean

FILE = "collapsebench.toml"

T = TypeVar("T")


def load(results: Path, name: str, kind: type[T]) -> T:
    """What a site says of one launcher, as its settings class; defaults where it says nothing.

    The file is that beside the results folder, else the user's.

    Args:
        name: the launcher's, and of its table in the file.
        kind: a frozen dataclass.

    Raises:
        UserError: a file that is not TOML, or a name or value in it that is not known.
    """
    user = Path(typer.get_app_dir("collapsebench"))
    files = [p for p in (results.resolve().parent / FILE, user / FILE) if p.is_file()]
    if not files:
        return kind()
    content = read_toml(files[0])
    known = registry.names("launchers")
    if unknown := sorted(set(content) - set(known)):
        raise UserError(
            f"{files[0]}: unknown table {unknown[0]!r}{did_you_mean(unknown[0], known)}"
        )
    if not isinstance(table := content.get(name, {}), dict):
        raise UserError(f"{files[0]}: {name!r} must be a table, [{name}]")
    return build(kind, table, f"{files[0]}, {name}")
