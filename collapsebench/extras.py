"""What a light installation lacks: which extra brings a package, and the line that says so."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator

from collapsebench.settings import UserError

# Module that is imported -> the extra of pyproject.toml whose package brings it.
EXTRAS = {
    "torch": "train",
    "torchvision": "train",
    "torch_fidelity": "train",
    "prdc": "train",
    "sklearn": "train",
    "lmdb": "train",
    "submitit": "slurm",
    "ray": "ray",
    "vector_quantize_pytorch": "zoo",
    "tensorboard": "tensorboard",
}


def install(module: str) -> str:
    """The command that installs a module: by its extra, or by the name that it most likely has."""
    if extra := EXTRAS.get(module):
        return f'pip install "collapsebench[{extra}]"'
    return f"pip install {module.replace('_', '-')}"


def require(module: str) -> None:
    """Asks for a module without importing it.

    Raises:
        UserError: it is not installed; the message says how to get it.
    """
    try:
        there = importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # hidden by an import hook, or None in sys.modules
        there = False
    if not there:
        raise UserError(needed(module))


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Turns what cannot be imported into one line: how to get it, or why the system refuses it."""
    try:
        yield
    except ImportError as error:
        if "shared object" in str(error):  # the system's loader, mostly for want of memory
            raise UserError(f"cannot be loaded: {error}") from None
        if (module := absent(error)) is None:
            raise
        raise UserError(needed(module)) from None


def absent(error: ImportError) -> str | None:
    """The module of an extra that an import did not find; None for any other."""
    module = (error.name or "").partition(".")[0]
    return module if module in EXTRAS else None


def needed(module: str) -> str:
    """The line that says what is missing and how to get it."""
    return f"this needs {module}, which is not installed: {install(module)}"
