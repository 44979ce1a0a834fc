"""The constructor of another project's module: which arguments are K and D, which are settings."""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Mapping
from typing import Any

from torch import nn

from collapsebench.methods import fsq
from collapsebench.quantizer import Incompatible
from collapsebench.settings import UserError, did_you_mean

SIZE_NAMES = (
    "codebook_size",
    "num_embeddings",
    "n_embed",
    "num_embed",
    "n_e",
    "num_codes",
    "n_codes",
    "num_codewords",
    "vocab_size",
    "codebook_length",
    "bins",
    "K",
    "k",
    "size",
)
DIM_NAMES = (
    "dim",
    "code_dim",
    "embedding_dim",
    "embed_dim",
    "e_dim",
    "emb_dim",
    "input_dim",
    "feature_dim",
    "dimension",
    "in_dim",
    "channels",
    "in_channels",
    "hidden_dim",
    "D",
    "d",
    "codebook_dim",
)
LEVELS = "levels"  # of a lattice: K is their product
GUESSES: dict[str, Any] = {  # for what a module asks for and nobody gave; they are its settings
    "num_quantizers": 4,
    "n_q": 4,
    "num_codebooks": 1,
    "heads": 1,
    "groups": 1,
    "beta": 0.25,
    "decay": 0.99,
    "commitment_cost": 0.25,
    "commitment_weight": 0.25,
    "epsilon": 1e-5,
    "eps": 1e-5,
    "codebook_dim": 8,
}
REFUSALS = (ValueError, AssertionError)  # a constructor's answer to sizes that it cannot have
MISSING = inspect.Parameter.empty


def parameters(cls: type) -> dict[str, inspect.Parameter]:
    """What the constructor takes by name; ``**kwargs`` under its own name."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL)
    found = inspect.signature(cls).parameters
    return {name: p for name, p in found.items() if p.kind not in kinds}


def size_name(cls: type) -> str:
    """The argument that is K, or ""."""
    return next((name for name in SIZE_NAMES if name in parameters(cls)), "")


def dim_name(cls: type) -> str:
    """The argument that is D, or ""."""
    return next((name for name in DIM_NAMES if name in parameters(cls)), "")


def takes_size(cls: type) -> bool:
    """Whether K is the constructor's to be told, as a number or as levels."""
    return bool(size_name(cls)) or LEVELS in parameters(cls)


_settings: dict[type, type] = {}  # one for each class, so that equal settings are equal


def settings_class(cls: type) -> type:
    """A frozen dataclass of the arguments that are neither K nor D and can be written as JSON.

    An argument without a default has ours of ``GUESSES``, or None, which the module then refuses;
    further keywords are a table under their own name, like ``vq_kwargs = {kmeans_init = true}``.
    """
    if cls in _settings:
        return _settings[cls]
    fields: list[tuple[str, Any, Any]] = []
    for name, parameter in parameters(cls).items():
        if name in (size_name(cls), dim_name(cls)):
            continue
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            fields.append((name, dict[str, Any], dataclasses.field(default_factory=dict)))
        elif parameter.default in (MISSING, None):
            fields.append((name, Any, dataclasses.field(default=GUESSES.get(name))))
        elif _is_plain(parameter.default):
            default = parameter.default
            fields.append((name, _kind(default), dataclasses.field(default=default)))
    _settings[cls] = dataclasses.make_dataclass("Settings", fields, frozen=True)
    return _settings[cls]


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(_is_plain(inner) for inner in value)
    return value is None or isinstance(value, bool | int | float | str)


def _kind(default: Any) -> Any:
    if isinstance(default, bool | str):
        return type(default) | None  # many constructors take None for "decide yourself"
    return int | float | None if isinstance(default, int | float) else Any


def build(cls: type, settings: Any, codebook_size: int | None, code_dim: int | None) -> nn.Module:
    """An instance of the class.

    Args:
        settings: of ``settings_class(cls)``.
        codebook_size: K; None = the class's own.
        code_dim: D; None = the class's own.

    Raises:
        Incompatible: the constructor refuses, or an argument without a default was not given.
    """
    given = _sizes(cls, settings, codebook_size, code_dim)
    for name, parameter in parameters(cls).items():
        if not hasattr(settings, name) or name in given:
            continue
        value = getattr(settings, name)
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            given |= value
        elif value is None and parameter.default is MISSING:
            raise Incompatible(f"{cls.__name__} needs {name}: set it, like --set {name}=...")
        elif parameter.default is MISSING or value != parameter.default:
            given[name] = value
    try:
        return cls(**given)
    except REFUSALS as error:
        raise Incompatible(f"{cls.__name__}: {error or type(error).__name__}") from error


def _sizes(
    cls: type, settings: Any, codebook_size: int | None, code_dim: int | None
) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if codebook_size is not None and (name := size_name(cls)):
        given[name] = codebook_size
    elif codebook_size is not None and LEVELS in parameters(cls):
        given[LEVELS] = levels(settings, codebook_size)
    if code_dim is not None and (name := dim_name(cls)):
        given[name] = code_dim
    return given


def levels(settings: Any, codebook_size: int) -> list[int]:
    """The levels that were set, else those that the shipped FSQ has for K.

    Raises:
        Incompatible: their product is not K, or none are known for it.
    """
    chosen = getattr(settings, LEVELS, None)
    known = {math.prod(chosen): tuple(chosen)} if chosen else fsq.possible("")
    if codebook_size not in known:
        sizes = ", ".join(str(size) for size in sorted(known))
        raise Incompatible(f"no levels are known for {codebook_size} codes; for {sizes} they are")
    return list(known[codebook_size])


def parted(cls: type, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What was set, as sizes ("codebook_size", "code_dim") and settings of ``settings_class``.

    A keyword that only ``**kwargs`` can take goes into its table.

    Raises:
        UserError: the constructor has no such argument, or one that cannot be set by a word.
    """
    known = parameters(cls)
    fields = {f.name for f in dataclasses.fields(settings_class(cls))}
    rest = [n for n, p in known.items() if p.kind is inspect.Parameter.VAR_KEYWORD]
    sizes: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    for name, value in given.items():
        if name in (size_name(cls), "codebook_size") and takes_size(cls):
            sizes["codebook_size"] = value
        elif name in (dim_name(cls), "code_dim") and dim_name(cls):
            sizes["code_dim"] = value
        elif name in fields and name not in rest:
            settings[name] = value
        elif rest and name not in known:
            settings.setdefault(rest[0], {})[name] = value
        else:
            names = {*fields, *filter(None, (size_name(cls), dim_name(cls)))}
            raise UserError(f"{cls.__name__} has no setting {name!r}{did_you_mean(name, names)}")
    if settings.get(LEVELS):
        sizes["codebook_size"] = math.prod(settings[LEVELS])
    return sizes, settings
