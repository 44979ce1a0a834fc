"""An exception of somebody else's code, told without our frames: its sentence and its own line."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import sysconfig
import traceback
from pathlib import Path

import torch

OURS = Path(__file__).resolve().parent.parent
HIDDEN = (OURS, Path(torch.__file__).resolve().parent)
PYTHON = Path(dataclasses.__file__).resolve().parent  # its own modules, and installed packages
PACKAGES = Path(sysconfig.get_paths()["purelib"]).name


def own_frames(error: BaseException) -> list[traceback.FrameSummary]:
    """Frames that are not ours, Python's or torch's, outermost first; shipped methods count."""
    return [f for f in traceback.extract_tb(error.__traceback__) if not is_hidden(f.filename)]


def is_hidden(filename: str) -> bool:
    """Whether a file is part of this package, but for a shipped method, of Python, or of torch."""
    path = Path(filename)
    if path.parent == OURS / "methods":
        return False
    if PYTHON in path.parents and PACKAGES not in path.relative_to(PYTHON).parts:
        return True
    return filename.startswith("<") or any(folder in path.parents for folder in HIDDEN)


def sentence(error: BaseException) -> str:
    """``IndexError: tensors used as indices must be long``: its first line."""
    said = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def own_line(error: BaseException) -> str:
    """``my_vq.py:42: self.codebook[tokens]``, the innermost line of the author's; "" if none."""
    frames = own_frames(error)
    if not frames:
        return ""
    last = frames[-1]
    return f"{Path(last.filename).name}:{last.lineno}: {last.line or ''}".rstrip(": ")


def own_traceback(error: BaseException) -> str:
    """As Python prints it, our frames and torch's left out."""
    lines = ["Traceback (most recent call last):\n", *traceback.format_list(own_frames(error))]
    return "".join(lines) + "".join(traceback.format_exception_only(error)).rstrip()


def written_in(cls: type, function: str, about: str) -> str:
    """``my_vq.py:47: loss = ...``: where a class of the author's assigns what a message is about.

    The last assignment, in the function, to a name that the message holds; else the function's own
    line, or the class's where it does not write the function itself.
    """
    written = vars(cls).get(function, cls)
    try:
        lines, first = inspect.getsourcelines(written)
    except (OSError, TypeError):
        return ""
    tree = ast.parse(inspect.cleandoc("\n" + "".join(lines)))
    names = [
        (node.lineno, target.id)
        for node in ast.walk(tree) if isinstance(node, ast.Assign)
        for target in node.targets if isinstance(target, ast.Name)
    ]  # fmt: skip
    matching = [line for line, name in names if f"{name} " in about]
    line = max(matching, default=1)
    file = Path(inspect.getsourcefile(written) or "").name
    return f"{file}:{first + line - 1}: {lines[line - 1].strip()}"
