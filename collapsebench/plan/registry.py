"""Name -> method, network, dataset, launcher. The file is the name: nothing is listed anywhere.

A name is looked up among the files of the package's folder, then among the entry points of the
group ``collapsebench.methods`` (and so on); a word ending in ``.py`` is a path, and
``package.module:Class`` a class that some package has: a method, or any module that quantizes.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import os
import re
import sys
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from collapsebench import extras
from collapsebench.plan import userfile
from collapsebench.plan.toml import refuse_huge
from collapsebench.settings import (
    FLOORS,
    PAPER_METHODS,
    UserError,
    did_you_mean,
    shown,
)

if TYPE_CHECKING:
    from collapsebench.datasets import Dataset
    from collapsebench.quantizer import Quantizer

Kind = Literal["methods", "networks", "datasets", "launchers"]
FOLDERS: dict[Kind, str] = {"methods": "methods", "networks": "networks", "datasets": "datasets",
                            "launchers": "launch/launchers"}  # fmt: skip
CLASS = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")  # package.module:Class
KINDS: tuple[Kind, ...] = tuple(FOLDERS)


@dataclass(frozen=True)
class Entry:
    """Where a name leads.

    Attributes:
        kind: methods, networks, datasets or launchers.
        name: the CLI word and column value: the file's stem.
        path: the file.
        shipped: part of this package, so that its ``implementation`` number vouches for its code.
        module: dotted name to import; empty for a file given by path.
        content: SHA-256 of a file given by path, so that an edited file is another entry; of a
            class, of its file and its package's version.
        member: the class in the module that the name stands for; "" = the only one that fits.
    """

    kind: Kind
    name: str
    path: Path
    shipped: bool
    module: str = ""
    content: str = ""
    member: str = ""

    @property
    def summary(self) -> str:
        """First line of the file's docstring, read without importing it."""
        docstring = ast.get_docstring(ast.parse(self.path.read_text(encoding="utf-8"))) or ""
        return docstring.partition("\n")[0]

    @property
    def role(self) -> str:
        """paper, modern, floor or user: the group in which reports put a method."""
        if not self.shipped:
            return "user"
        return (
            "paper" if self.name in PAPER_METHODS else "floor" if self.name in FLOORS else "modern"
        )


@functools.cache
def _known(kind: Kind) -> dict[str, Entry]:
    folder, package = FOLDERS[kind], FOLDERS[kind].replace("/", ".")
    shipped = {
        path.stem: Entry(kind, path.stem, path, True, f"collapsebench.{package}.{path.stem}")
        for path in sorted((Path(__file__).parent.parent / folder).glob("*.py"))
        if not path.stem.startswith("_")
    }
    found = dict(shipped)
    for point in _installed().select(group=f"collapsebench.{kind}"):
        if point.name in found:
            raise UserError(f"the name {point.name!r} of entry point {point.value} is taken")
        found[point.name] = Entry(kind, point.name, _file_of(point), False, point.module)
    return found


@functools.cache
def _installed() -> Any:
    """Every installed package's entry points, of a class of each Python's own; found once."""
    return entry_points()


def _file_of(point: EntryPoint) -> Path:
    spec = importlib.util.find_spec(point.module)
    if spec is None or spec.origin is None:
        raise UserError(f"entry point {point.name!r} names {point.module}, which does not exist")
    return Path(spec.origin)


def names(kind: Kind) -> list[str]:
    """Every known name; the paper's methods first, in its order."""
    known = _known(kind)
    first = [name for name in PAPER_METHODS if name in known]
    return first + [name for name in known if name not in first]


def find(kind: Kind, word: str) -> Entry:
    """The entry of a name, of a path ending in ``.py``, or of a method's ``package.module:Class``.

    Raises:
        UserError: unknown name (with a did-you-mean), missing file, a path whose stem is taken, no
            such module or class.
    """
    known = _known(kind)
    if kind == "methods" and CLASS.fullmatch(word):
        return _class_entry(word)
    if word in known:
        return known[word]
    if not word.endswith(".py") or not word.isprintable():
        raise UserError(f"unknown {kind[:-1]} {shown(word)}{did_you_mean(word, known)}")
    path = Path(os.path.realpath(os.path.expanduser(word)))  # a link to itself is no error here
    if not path.is_file():
        raise UserError(f"no such {kind[:-1]} file: {word}")
    if not path.stem.isidentifier():
        raise UserError(
            f"{word}: the file's name is the {kind[:-1]}'s name; letters, digits and _ only"
        )
    if path.stem in known:
        raise UserError(
            f"{word}: the name {path.stem!r} is taken by a {kind[:-1]}; rename the file"
        )
    refuse_huge(path)
    return Entry(kind, path.stem, path, False, content=source_hash(path))


def _class_entry(word: str) -> Entry:
    module_name, _, member = word.partition(":")
    cls = class_of(word)
    try:
        path = Path(inspect.getsourcefile(cls) or "")
    except TypeError:
        raise UserError(f"{word} is built into Python: nothing that could be trained") from None
    package = cls.__module__.partition(".")[0]
    version = _version(package)
    spec = importlib.util.find_spec(package)
    whole = (package,) if not version and spec is not None and spec.origin else ()
    content = f"{source_hash(path, whole)}@{version}"
    return Entry("methods", word, path, False, module_name, content, member)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package.replace("_", "-"))
    except importlib.metadata.PackageNotFoundError:
        return ""


def class_of(word: str) -> type:
    """The class that ``package.module:Class`` names; modules of the working folder count too.

    Raises:
        UserError: no such module, or no such class in it.
    """
    module_name, _, member = word.partition(":")
    if (here := os.getcwd()) not in sys.path:
        sys.path.append(here)
    try:
        module = userfile.load_module(module_name)
    except UserError as refused:
        error = refused.__cause__
        if not isinstance(error, ModuleNotFoundError) or not _is_part(error.name, module_name):
            raise  # something that the module itself imports or does
        hint = (
            f"; is it installed? ({extras.install(module_name)})" if "." not in module_name else ""
        )
        raise UserError(f"{word}: no module named {error.name!r}{hint}") from None
    found = getattr(module, member, None)
    if not isinstance(found, type):
        classes = [name for name, value in vars(module).items() if isinstance(value, type)]
        raise UserError(
            f"{word}: {module_name} has no class {member!r}{did_you_mean(member, classes)}"
        )
    return found


def _is_part(name: str | None, module_name: str) -> bool:
    return name is not None and f"{module_name}.".startswith(f"{name}.")


@functools.cache
def load(entry: Entry) -> ModuleType:
    """The imported module.

    Raises:
        UserError: a file or package of somebody else that cannot be imported.
    """
    if entry.shipped:
        return importlib.import_module(entry.module)
    if entry.module:
        return userfile.load_module(entry.module)
    return userfile.load(entry.path, f"collapsebench_user_{entry.content[:8]}.{entry.name}")


def only_subclass(entry: Entry, base: type) -> Any:
    """The one subclass of ``base`` that the file defines.

    Raises:
        UserError: the file defines none, or more than one.
    """
    module = load(entry)
    with userfile.explained(entry.path):
        found = [
            value
            for value in vars(module).values()
            if isinstance(value, type)
            and issubclass(value, base)
            and value.__module__ == module.__name__
        ]
    if len(found) != 1:
        defined = ", ".join(c.__name__ for c in found) or "none"
        raise UserError(
            f"{entry.path} must define exactly one {base.__name__}; it defines {defined}"
        )
    return found[0]


def source_hash(path: Path, packages: tuple[str, ...] = ()) -> str:
    """SHA-256 (hex) of a file and of every Python file of the packages that decide its result.

    Raises:
        UserError: a package that is not installed.
    """
    content = hashlib.sha256(path.read_bytes())
    for package in packages:
        try:
            spec = importlib.util.find_spec(package)
        except (ImportError, ValueError):  # of a package that is none, or that has no name
            spec = None
        if spec is None or spec.origin is None:
            raise UserError(
                f"{path}: sources names the package {package!r}, which is not installed"
            )
        origin = Path(spec.origin)
        files = sorted(origin.parent.rglob("*.py")) if spec.submodule_search_locations else [origin]
        for file in files:
            content.update(file.read_bytes())
    return content.hexdigest()


def method_class(word: str) -> type[Quantizer]:
    """The Quantizer that a method's name or path stands for; another project's class is wrapped.

    Raises:
        UserError: no such method, or a class that is no ``nn.Module``.
    """
    from collapsebench.quantizer import Quantizer

    entry = find("methods", word)
    return _wrapped(entry) if entry.member else only_subclass(entry, Quantizer)


@functools.cache
def _wrapped(entry: Entry) -> type[Quantizer]:
    from torch import nn

    from collapsebench.plan.wrapped import wrap
    from collapsebench.quantizer import Quantizer

    cls = class_of(entry.name)
    if issubclass(cls, Quantizer):
        return cls
    if not issubclass(cls, nn.Module):
        raise UserError(f"{entry.name} is no nn.Module: nothing that could be trained")
    return wrap(cls, f"{cls.__name__} ({entry.module.partition('.')[0]})")


def network_module(word: str) -> ModuleType:
    """The module of a network family: ``Settings``, ``Encoder``, ``Decoder``."""
    return load(find("networks", word))


@functools.cache
def dataset(word: str) -> Dataset:
    """The dataset that a name or path stands for."""
    from collapsebench.datasets import Dataset

    found: Dataset = only_subclass(find("datasets", word), Dataset)()
    return found
