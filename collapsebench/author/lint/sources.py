"""From what a user names to what is examined: a method, a file, a package's class, a module."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from collapsebench.author.lint.request import LintRequest
from collapsebench.author.lint.subject import Subject
from collapsebench.plan import arguments, lookup, registry
from collapsebench.plan.wrapped import LAYOUTS, Refused, Wrapped, copied, wrap
from collapsebench.quantizer import Quantizer
from collapsebench.settings import UserError, build, did_you_mean

SMALL, LARGE, DIM = 64, 1024, 8  # K and D where nobody says otherwise
SIZES = ("codebook_size", "code_dim")


def named(request: LintRequest, known: Mapping[Any, Any] | None = None) -> Subject:
    """The subject that a word stands for.

    Args:
        known: what was recognised of it before, ``Wrapped.found``.

    Raises:
        UserError: no such thing, a file without or with too many, or an unknown setting.
        Incompatible: sizes that it cannot have, or an argument that was not given.
        NotFound: its vectors, tokens or layout could not be recognised.
    """
    cls = class_named(request.word)
    if issubclass(cls, Quantizer):
        return _of_method(cls, request)
    return _of_class(cls, request, known or {})


def class_named(word: str) -> type[nn.Module]:
    """The class; of a file with one quantizer, that one.

    Raises:
        UserError: none, several, or one that is no ``nn.Module``.
    """
    path, _, member = word.rpartition(":") if ".py:" in word else (word, "", "")
    if path.endswith(".py"):
        return _in_file(path, member)
    if ":" in word:
        cls = registry.class_of(word)
        if not issubclass(cls, nn.Module):
            raise UserError(f"{word} is no nn.Module: nothing that lint could call")
        return cls
    return registry.method_class(word)


def _in_file(path: str, member: str) -> type[nn.Module]:
    entry = registry.find("methods", path)
    module = registry.load(entry)
    defined = {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, nn.Module)
        and value.__module__ == module.__name__
    }
    if member:
        if member not in defined:
            raise UserError(f"{path} has no module {member!r}{did_you_mean(member, defined)}")
        return defined[member]
    methods = {n: c for n, c in defined.items() if issubclass(c, Quantizer)}
    chosen = methods or _outermost(defined, Path(path))
    if len(chosen) != 1:
        names = ", ".join(chosen or defined) or "none"
        raise UserError(
            f"{path} must define one quantizer, or be asked for as {path}:CLASS; it defines {names}"
        )
    return next(iter(chosen.values()))


def _outermost(defined: Mapping[str, type], path: Path) -> dict[str, type]:
    """Classes that no other class of the file is built from: the parts of a quantizer fall away."""
    text = path.expanduser().read_text(encoding="utf-8")
    used = {name for name in defined if text.count(f"{name}(") > text.count(f"class {name}(")}
    bases = {base.__name__ for cls in defined.values() for base in cls.__bases__}
    return {name: cls for name, cls in defined.items() if name not in used | bases}


def _of_method(cls: type[Quantizer], request: LintRequest) -> Subject:
    given = dict(request.given)
    sizes = {name: given.pop(name) for name in SIZES if name in given}
    settings = build(cls.Settings, given, "method")
    small, dim = sizes.get("codebook_size", SMALL), sizes.get("code_dim")
    pairs = [
        (k, dim or cls.dim_for(k, settings) or DIM)
        for k in (_had(cls, settings, small), _had(cls, settings, LARGE))
    ]
    large = None if "codebook_size" in sizes else pairs[1]
    return Subject(request.word, cls, settings, pairs[0], large, request=request)


def _had(cls: type[Quantizer], settings: Any, codebook_size: int) -> int:
    """K, or the nearest that the method can have."""
    possible = cls.sizes(settings)
    return (
        codebook_size if possible is None else min(possible, key=lambda k: abs(k - codebook_size))
    )


def _of_class(cls: type[nn.Module], request: LintRequest, known: Mapping[Any, Any]) -> Subject:
    sizes, given = arguments.parted(cls, request.given)
    settings: Any = build(arguments.settings_class(cls), given, cls.__name__)
    method = wrap(cls, request.word)
    method.layout, method.outputs = request.layout, request.outputs
    method.found.update(known)
    small = _natural(method, settings, sizes, SMALL)
    free = (
        "codebook_size" not in sizes and _natural(method, settings, sizes, 2 * SMALL)[0] != small[0]
    )
    large = _natural(method, settings, sizes, LARGE) if free else None
    return Subject(request.word, method, settings, small, large, request=request)


def _natural(
    method: type[Wrapped], settings: Any, sizes: Mapping[str, Any], codebook_size: int
) -> tuple[int, int]:
    """K and D as the module itself has them where neither the user nor the signature says."""
    cls = method.module_class
    default = _default(cls, arguments.size_name(cls))
    levels = getattr(settings, arguments.LEVELS, None)
    size = sizes.get("codebook_size") or (math.prod(levels) if levels else default) or codebook_size
    dim = sizes.get("code_dim")
    if dim is None and (name := arguments.dim_name(cls)):
        required = arguments.parameters(cls)[name].default is arguments.MISSING
        dim = _default(cls, name) or (DIM if required else None)
    module = arguments.build(cls, settings, size, dim)
    if not arguments.takes_size(cls):
        size = lookup.declared_size(module) or size
    return recognised_sizes(method, settings, module, size, dim)


def _default(cls: type[nn.Module], name: str) -> int | None:
    if not name:
        return None
    default = arguments.parameters(cls)[name].default
    return default if isinstance(default, int) else None


def recognised_sizes(
    method: type[Wrapped], settings: Any, module: nn.Module, size: int | None, dim: int | None
) -> tuple[int, int]:
    """K and D of a built module, by trying the dimensions that it may have.

    Args:
        size, dim: where they are known.

    Raises:
        UserError: its K is nowhere to be read.
        NotFound: it takes no vectors of any likely dimension, or their parts are not recognised.
    """
    own = size or lookup.declared_size(module)
    if own is None:
        raise UserError("the number of codes is nowhere to be read: give codebook_size")
    refused: Refused | None = None
    for candidate in [dim] if dim else lookup.dimensions(module) or [DIM]:
        try:
            method(own, candidate, settings, copied(module))
        except Refused as error:
            refused = refused or error
        else:
            return own, candidate
    assert refused is not None
    raise refused


def built(
    module: nn.Module,
    example: Tensor | None,
    codebook_size: int | None,
    layout: str,
    outputs: Mapping[str, str],
) -> Subject:
    """The subject of a module that the caller built; its inputs are like the caller's example.

    Raises:
        UserError: an example that is no float tensor of 2, 3 or 4 axes.
        NotFound: as in ``named``.
    """
    name = type(module).__name__
    request = LintRequest(name, {}, layout, dict(outputs))
    facts: dict[str, Any] = {"request": request, "module": module}
    if isinstance(module, Quantizer):
        size = module.codebook_size, module.code_dim
        return Subject(
            name,
            type(module),
            module.settings,
            size,
            instance=module,
            **facts | _like(example, "bdhw", module.encoder_channels),
        )
    method = wrap(type(module), name)
    method.outputs = request.outputs
    settings = arguments.settings_class(type(module))()
    for form in [layout] if layout else _layouts(example):
        method.layout = form
        dim = None if example is None or not form else _dim(example, form)
        try:
            size = recognised_sizes(method, settings, module, codebook_size, dim)
            instance = method(*size, settings, copied(module))
        except Refused:
            if form == _layouts(example)[-1] or layout:
                raise
            continue
        like = _like(example, instance.form.name, size[1])
        return Subject(name, method, settings, size, instance=instance, **facts | like)
    raise AssertionError("a layout is found or refused")


def _layouts(example: Tensor | None) -> list[str]:
    if example is None:
        return [""]
    if not isinstance(example, Tensor) or not example.is_floating_point():
        raise UserError("example must be a float tensor, as the encoder gives it")
    fitting = {2: ["nd"], 3: ["bnd", "bdn"], 4: ["bdhw"]}.get(example.ndim)
    if fitting is None:
        raise UserError(f"example has {example.ndim} axes; {', '.join(LAYOUTS)} have 2, 3 or 4")
    return fitting


def _dim(example: Tensor, layout: str) -> int:
    return example.shape[1] if layout in ("bdhw", "bdn") else example.shape[-1]


def _like(example: Tensor | None, layout: str, code_dim: int) -> dict[str, Any]:
    """Inputs of the example's shape, mean and spread."""
    if example is None:
        return {}
    grids = {
        "bdhw": lambda s: (s[0], s[2], s[3]),
        "bnd": lambda s: (s[0], 1, s[1]),
        "bdn": lambda s: (s[0], 1, s[2]),
        "nd": lambda s: (1, 1, s[0]),
    }
    if _dim(example, layout) != code_dim:
        raise UserError(f"example {tuple(example.shape)} has no {code_dim} numbers per vector")
    values = example.detach().float()
    return {
        "grid": grids[layout](example.shape),
        "grid_given": True,
        "mean": float(values.mean()),
        "deviation": float(values.std()) or 1.0,
    }
