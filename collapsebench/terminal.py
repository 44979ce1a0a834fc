"""Where text for a person is printed as it is: nobody's label is taken for markup."""

from __future__ import annotations

from rich.console import Console


def console(stderr: bool = False) -> Console:
    """A console that reads no markup, emoji codes or numbers into a text; ``rich.text`` styles."""
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)
