"""What somebody wrote by hand: TOML documents, and no text that would fill the memory."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from collapsebench.settings import UserError

LARGEST_TEXT = 16 * 2**20  # bytes of a file that somebody wrote by hand

# A key of a hundred parts: Python's reader takes minutes and gigabytes for ten thousand.
_DEEP_KEY = re.compile(r"(?<![^\s.,=\[\]{}])(?:[^\s.,=\[\]{}]+[ \t]*\.[ \t]*){100}")


def parse_toml(text: str) -> dict[str, Any]:
    """What a TOML document says.

    Raises:
        ValueError: it is not TOML.
        RecursionError: it is nested too deeply.
    """
    if _DEEP_KEY.search(text):
        raise RecursionError
    return tomllib.loads(text)


def refuse_huge(path: Path) -> None:
    """Raises ``UserError`` for a text that nobody wrote by hand, before it fills the memory."""
    if (size := path.stat().st_size) > LARGEST_TEXT:
        most = LARGEST_TEXT // 2**20
        raise UserError(f"{path}: {size / 2**20:,.0f} MiB are more than a text of {most} MiB")


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file.

    Raises:
        UserError: it is not TOML, or holds what no program should have to read.
    """
    refuse_huge(path)
    try:
        return parse_toml(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:  # thousands of digits or brackets, too
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise UserError(f"{path.name}: not valid TOML: {reason.partition(chr(10))[0]}") from None
