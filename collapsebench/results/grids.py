"""``grids/<name>.json``: what ``run`` wrote down of a grid."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from collapsebench.settings import UserError, did_you_mean


def read_grid(grid: str, results: Path) -> dict[str, Any]:
    """The file that `run` left about a grid.

    Raises:
        UserError: no such grid was run here, or its file cannot be read.
    """
    path = results / "grids" / f"{grid}.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found
    except FileNotFoundError:
        raise UserError(
            f"no grid {grid!r} was run in {results}{did_you_mean(grid, grids(results))}"
        ) from None
    except ValueError as error:
        raise UserError(f"{path} cannot be read: {error}") from None


def grids(results: Path) -> list[str]:
    """Names of the grids that were run here."""
    return sorted(path.stem for path in (results / "grids").glob("*.json"))
