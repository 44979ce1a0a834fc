"""Where UTF-8 is not spoken: what a terminal or a file cannot take is written in plain letters."""

from __future__ import annotations

import codecs
import io
import sys
import unicodedata

from collapsebench.settings import printable

HANDLER = "collapsebench.plain"
PLAIN = {
    "·": "-", "–": "-", "−": "-", "…": "...", "×": "x", "±": "+-", "≈": "~", "→": "->", "↑": "^",
    "↓": "v", "•": "*", "✓": "ok", "✗": "x", "‖": "|", "β": "beta", "’": "'", "“": '"', "”": '"',
}  # fmt: skip
BOX = {"HORIZONTAL": "-", "VERTICAL": "|"}  # of a table's lines; their corners are "+"


def speak_plainly() -> None:
    """Lets standard output and error never raise over a character."""
    codecs.register_error(HANDLER, replaced)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=HANDLER)


def replaced(error: UnicodeError) -> tuple[str, int]:
    """The handler: what to write instead, and where to go on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(map(plain, text)), error.end


def plain(character: str) -> str:
    """ASCII that says the same, "?" where nothing does."""
    if character in PLAIN:
        return PLAIN[character]
    name = unicodedata.name(character, "")
    if name.startswith("BOX DRAWINGS"):
        return BOX.get(name.split()[-1], "+")
    letters = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return letters or "?"


def one_line(message: object) -> str:
    """What is printed of an error or a warning."""
    return f"collapsebench: {printable(str(message))}\n"


def warning_line(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,
) -> str:
    """For ``warnings.formatwarning``: where a warning is raised is of no use to its reader."""
    return one_line(message)
