"""The program: its name, its errors, its version."""

from __future__ import annotations

import io
import os
import sys
import warnings
from typing import Annotated, Any, NoReturn

import typer

from collapsebench import __version__, extras
from collapsebench.cli.streams import one_line, speak_plainly, warning_line
from collapsebench.settings import LONGEST_QUOTED, UserError, shortened, system_reason

NAME = "collapsebench"
UsageError: type[Exception] = typer.BadParameter.__mro__[1]  # click's, or typer's copy of it
app = typer.Typer(
    help="Does your quantizer's codebook collapse? Train, measure, compare.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


# What matplotlib reads and fails over where it is odd; figures are drawn without any of them.
UNUSED = ("MPLBACKEND", "SOURCE_DATE_EPOCH")


def main() -> None:
    """Runs the command line; bad input, or what the system refuses, is one line and exit code 2."""
    speak_plainly()
    warnings.formatwarning = warning_line
    for name in UNUSED:
        os.environ.pop(name, None)
    try:
        refuse_no_folder()
        try:
            with extras.explained():
                code = app(prog_name=NAME, standalone_mode=False)
        finally:
            if sys.stdout is not None:  # closed before the start
                sys.stdout.flush()
    except UserError as error:
        fail(str(error))
    except MemoryError as error:
        fail(f"not enough memory: {error}")
    except UsageError as error:
        misspoken(error)
    except typer.Abort:
        raise SystemExit(1) from None
    except OSError as error:
        sys.stdout = None  # or what it did not take is tried again
        fail(system_reason(error))
    raise SystemExit(code or 0)


def misspoken(error: Any) -> NoReturn:
    """Says which word of the command line is none, and where the known ones stand.

    A command without any word has shown its help already.
    """
    if said := error.format_message():
        command = error.ctx.command_path if error.ctx else NAME
        fail(f"{shortened(said.rstrip('.'), LONGEST_QUOTED)}; see {command} --help")
    raise SystemExit(2)


def fail(message: str) -> NoReturn:
    """Prints one line on stderr, if anybody takes it, and ends with exit code 2."""
    try:
        print(one_line(message), end="", file=sys.stderr or io.StringIO())
    except OSError:
        sys.stderr = None  # or it is tried again
    raise SystemExit(2)


def refuse_no_folder() -> None:
    """Raises ``UserError`` where the working folder was deleted: torch ends the process there."""
    try:
        os.getcwd()
    except FileNotFoundError:
        raise UserError("the working folder was deleted; change to one that is there") from None


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
