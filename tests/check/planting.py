"""Faults planted in a copy of a module's source, as ``faults.txt`` lists them."""

import importlib
import sys
import types
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Fault:
    """``where`` it must be noticed, what it is, and the text that becomes another in a module."""

    where: str
    what: str
    module: str
    right: str
    wrong: str


def listed():
    """The faults of ``faults.txt``."""
    text = (Path(__file__).parent / "faults.txt").read_text(encoding="utf-8")
    return [_fault(block.splitlines()) for block in text.split("\n\n")]


def _fault(lines):
    where, _, what = lines[0].partition(": ")
    right, wrong = (
        "\n".join(line[1:] for line in lines[2:] if line[0] == sign) for sign in ("-", "+")
    )
    return Fault(where, what, lines[1], right, wrong)


def plant(monkeypatch, module, right, wrong):
    """Writes ``wrong`` for ``right`` in a copy of the module; all who use it use the copy's.

    Instances and subclasses that exist already keep what they have.
    """
    original = importlib.import_module(f"collapsebench.{module}")
    source = Path(original.__file__).read_text(encoding="utf-8")
    assert right in source, f"{module} has no such text any more"
    copy = types.ModuleType(original.__name__)
    copy.__file__ = original.__file__
    exec(compile(source.replace(right, wrong), copy.__file__, "exec"), vars(copy))
    own = {
        id(value): vars(copy)[name]
        for name, value in vars(original).items()
        if isinstance(value, dict) or getattr(value, "__module__", "") == original.__name__
        if not name.startswith("__")
    }
    for name, user in list(sys.modules.items()):
        if name.startswith("collapsebench"):
            for attribute, value in list(vars(user).items()):
                if id(value) in own:
                    monkeypatch.setattr(user, attribute, own[id(value)])
