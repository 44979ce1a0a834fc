"""A user's file or module, imported: whatever it does there ends in one line that says so."""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.util
import os
import re
import select
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from collapsebench import extras
from collapsebench.plan.confined import MEMORY, confined
from collapsebench.settings import LONGEST_QUOTED, UserError, few, shortened

_expendable = False  # whether somebody else watches this process, and tells how it ended
LIMIT_S = 60.0  # that a file may take to be imported, or a method to be built once
SURVIVED, LASTING, CLOSING = 1, 2, 3  # what a copy of a process says that a file did not end
REASONS = {
    LASTING: "it leaves a thread running that is no daemon",
    CLOSING: "it closes standard input, output or error",
}


def expendable() -> None:
    """Says that this process was started for one user's file, which may end it."""
    global _expendable
    _expendable = True


def load(path: Path, name: str) -> ModuleType:
    """The module of a file, as ``sys.modules[name]``.

    Raises:
        UserError: it imports a file beside it, raises, ends or forks the process, leaves a thread
            that keeps it from ending, or takes longer than ``LIMIT_S`` or more than ``MEMORY``.
    """
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    with explained(path):
        refuse_neighbours(path)
        refuse_deadly(path, lambda: _executed(spec))
        return _executed(spec)


def load_module(name: str) -> ModuleType:
    """The module of a package that somebody else wrote, by its dotted name.

    Raises:
        UserError: there is none, or it does what ``load`` refuses.
    """
    if name in sys.modules:
        return sys.modules[name]
    with explained(name):
        refuse_deadly(name, lambda: _imported_confined(name))
        return _imported_confined(name)


def _executed(spec: ModuleSpec) -> ModuleType:
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up by name
    with confined(MEMORY):
        spec.loader.exec_module(module)
    return module


def _imported_confined(name: str) -> ModuleType:
    with confined(MEMORY):
        return importlib.import_module(name)


@contextlib.contextmanager
def explained(path: Path | str) -> Iterator[None]:
    """Turns what somebody's code raises into one line that names its line in the file."""
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # whatever the author's code raises
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == str(path)]
        line = error.lineno if isinstance(error, SyntaxError) else (lines or [None])[-1]
        text = _text(error)
        if isinstance(error, MemoryError) and not text:
            text = f"it takes more than {MEMORY / 2**30:.0f} GiB"
        name = type(error).__name__
        raised = shortened(f"{name}: {text}" if text else name, LONGEST_QUOTED)
        if isinstance(error, ImportError) and (module := extras.absent(error)):
            raised += f"; {extras.install(module)}"
        where = f"{path}:{line}" if line else str(path)
        raise UserError(f"{where} cannot be imported: {raised}") from error


def _text(error: BaseException) -> str:
    """First line of an error; "" where the author's own error cannot say it."""
    try:
        return str(error).strip().partition("\n")[0]
    except Exception:  # whatever the author's code raises
        return ""


def refuse_neighbours(path: Path) -> None:
    """Raises ``UserError`` if a file imports one beside it, an edit of which nobody would notice.

    What its ``sources`` name is part of its fingerprint and may be imported.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    known = {word for node in ast.walk(tree) for word in _sources(node)}
    imported = {name for node in ast.walk(tree) for name in _imported(node)} - known
    beside = [n for n in imported if _is_beside(path.parent, n) and n != path.stem]
    if beside:
        raise UserError(
            f"{path} imports its neighbour {few(beside)}, which is no part of its fingerprint: "
            "put all into the one file, or name the module in the method's `sources`"
        )


def _imported(node: ast.AST) -> list[str]:
    """First parts of the modules that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name.partition(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        names = [node.module] if node.module else [alias.name for alias in node.names]
        return [name.partition(".")[0] for name in names]
    return []


def _sources(node: ast.AST) -> list[str]:
    """The words of an assignment to ``sources``."""
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    value = getattr(node, "value", None)
    named = any(isinstance(target, ast.Name) and target.id == "sources" for target in targets)
    if not named or not isinstance(value, ast.Tuple):
        return []
    return [str(item.value) for item in value.elts if isinstance(item, ast.Constant)]


def _is_beside(folder: Path, name: str) -> bool:
    """Whether a module lies in a folder, and is no installed one that bears its name, too."""
    if not (folder / f"{name}.py").is_file() and not (folder / name / "__init__.py").is_file():
        return False
    spec = importlib.util.find_spec(name) if name not in sys.modules else sys.modules[name].__spec__
    return spec is None or spec.origin is None or folder in Path(spec.origin).resolve().parents


def refuse_deadly(subject: Path | str, execute: Callable[[], object]) -> None:
    """Raises ``UserError`` if importing a subject ends, forks or never leaves the process.

    It is tried in a copy of this one.
    """

    def outcome() -> int:
        before, streams = set(threading.enumerate()), _open_streams()
        try:
            execute()
        except (Exception, SystemExit) as error:  # told where it is imported for good
            _text(error)  # is the author's code, too
        left = set(threading.enumerate()) - before
        if _open_streams() != streams:
            return CLOSING
        return SURVIVED if all(thread.daemon for thread in left) else LASTING

    said = in_a_copy(outcome)
    reason = REASONS.get(said, said) if isinstance(said, int) else said
    if reason != SURVIVED:
        raise UserError(f"{subject} cannot be imported: {reason}")


def _open_streams() -> list[bool]:
    """Which of the streams that a process has from its start are open, as files and in Python."""
    streams = [sys.__stdin__, sys.__stdout__, sys.__stderr__]
    opened = [stream is not None and not stream.closed for stream in streams]
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            opened.append(False)
        else:
            opened.append(True)
    return opened


def in_a_copy(function: Callable[[], int]) -> int | str:
    """What a function of somebody else's code returns, or in words why it returns nothing.

    It runs in a copy of this process, unheard, and what it started ends with it; in itself where
    that is ``expendable``.
    """
    if _expendable or not hasattr(os, "fork"):
        return function()
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        _answer(function, write_end)
    os.close(write_end)
    try:
        ready, _, _ = select.select([read_end], [], [], LIMIT_S)
        late = f"it takes longer than {LIMIT_S:.0f} s"
        said = os.read(read_end, 64).decode() if ready else late
    finally:
        os.close(read_end)
        with contextlib.suppress(OSError):  # ended before it had a group of its own
            os.killpg(child, signal.SIGKILL)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return int(said) if re.fullmatch(r"-?\d+", said) else said or "it ends the process"


def _answer(function: Callable[[], int], channel: int) -> NoReturn:
    """In the copy: writes what a function returns, or that it forks, and ends."""

    def say(text: str) -> NoReturn:
        os.write(channel, text.encode())
        os._exit(0)

    os.setpgid(0, 0)
    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(silence, stream)
    os.register_at_fork(before=lambda: say("it forks this process"))
    with contextlib.suppress(BaseException), confined(MEMORY):
        say(str(function()))
    os._exit(0)
