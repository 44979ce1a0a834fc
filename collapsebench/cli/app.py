"""The program: its name, its errors, its version."""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn

import typer

from collapsebench import __version__, extras
from collapsebench.cli.streams import speak_plainly
from collapsebench.settings import UserError, printable, system_reason

app = typer.Typer(
    help="Does your quantizer's codebook collapse? Train, measure, compare.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Runs the command line; bad input, or what the system refuses, is one line and exit code 2."""
    speak_plainly()
    try:
        try:
            with extras.explained():
                app()
        finally:
            if sys.stdout is not None:  # closed before the start
                sys.stdout.flush()
    except UserError as error:
        fail(str(error))
    except OSError as error:
        sys.stdout = None  # or what it did not take is tried again
        fail(system_reason(error))


def fail(message: str) -> NoReturn:
    """Prints one line on stderr and ends with exit code 2."""
    print(f"collapsebench: {printable(message)}", file=sys.stderr)
    raise SystemExit(2)


def version(value: bool) -> None:
    """Prints the version and ends."""
    if value:
        print(__version__)
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Does your quantizer's codebook collapse? Train, measure, compare."""
