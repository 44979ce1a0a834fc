"""Where a module keeps its codes, and which of its functions turns tokens into vectors."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from collapsebench.plan import arguments

DECODERS = (
    "get_output_from_indices",
    "indices_to_codes",
    "get_codebook_entry",
    "embed_code",
    "get_codes_from_indices",
    "indices_to_vectors",
    "tokens_to_codes",
    "decode_indices",
    "decode_tokens",
    "dequantize",
    "lookup",
    "dequantise",
    "from_indices",
    "from_codes",
    "embed",
    "decode_code",
    "decode",
)
ERRORS = (RuntimeError, TypeError, ValueError, IndexError, KeyError, AttributeError, AssertionError)
AVERAGES = ("avg", "ema", "sum", "cluster", "average", "velocity", "count", "usage")


def codebook_tensors(module: nn.Module, codebook_size: int) -> dict[str, Tensor]:
    """Tensors (..., K, D) of a module by dotted name: parameters, buffers and plain attributes.

    Moving averages are left out by their names; those whose name speaks of codes come first.
    """
    named = {name: tensor for name, tensor in _tensors(module) if _fits(tensor, codebook_size)}
    named |= {  # some keep it as (D, K)
        name: tensor.t()
        for name, tensor in _tensors(module)
        if name not in named and tensor.ndim == 2 and _fits(tensor.t(), codebook_size)
    }
    codes = {n: t for n, t in named.items() if not any(w in n.lower() for w in AVERAGES)}
    spoken = {n: t for n, t in codes.items() if "code" in n.lower() or "embed" in n.lower()}
    return spoken or codes


def kept_in(codes: Tensor) -> Tensor:
    """The tensor that a module itself keeps, where the codes are a transposed view of it."""
    return codes if codes._base is None else codes._base


def _fits(tensor: Tensor, codebook_size: int) -> bool:
    floating = tensor.is_floating_point() and tensor.ndim >= 2
    return floating and tensor.shape[-2] == codebook_size


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for prefix, inner in module.named_modules():
        dot = f"{prefix}." if prefix else ""
        registered = {**inner._parameters, **inner._buffers}
        for name, value in {**registered, **vars(inner)}.items():
            if name in ("_parameters", "_buffers", "_modules"):
                continue
            yield from ((dot + key, tensor) for key, tensor in _inside(name, value))


def _inside(name: str, value: Any) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, list | tuple):
        for i, inner in enumerate(value):
            yield from _inside(f"{name}.{i}", inner)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _inside(f"{name}.{key}", inner)


def declared_size(module: nn.Module) -> int | None:
    """The K that a module says it has: an attribute, its levels' product, an embedding's rows."""
    for name in arguments.SIZE_NAMES:
        value = getattr(module, name, None)
        if isinstance(value, int) and value > 1:
            return value
    for name in (arguments.LEVELS, f"_{arguments.LEVELS}"):
        value = getattr(module, name, None)
        if isinstance(value, Tensor | list | tuple) and len(value):
            return math.prod(int(level) for level in value)
    embeddings = [m.num_embeddings for m in module.modules() if isinstance(m, nn.Embedding)]
    if embeddings:
        return embeddings[0]
    shapes = [
        t.shape
        for name, t in _tensors(module)
        if t.ndim >= 2
        and any(w in name.lower() for w in ("codebook", "embed", "codes"))
        and not any(w in name.lower() for w in AVERAGES)
    ]
    return int(shapes[0][-2]) if shapes else None


def dimensions(module: nn.Module) -> list[int]:
    """Input dimensions that a module may have, the likeliest first."""
    found = [getattr(module, name, None) for name in arguments.DIM_NAMES]
    layers = [m for m in module.modules() if isinstance(m, nn.Linear)]
    convolutions = [m for m in module.modules() if isinstance(m, nn.Conv1d | nn.Conv2d)]
    found += [m.in_features for m in layers] + [m.in_channels for m in convolutions]
    found += [t.shape[-1] for _, t in _tensors(module) if t.ndim >= 1]
    found += [len(v) for v in vars(module).values() if isinstance(v, list | tuple)]
    return list(dict.fromkeys(d for d in found if type(d) is int and d > 0))


@dataclass(frozen=True)
class Lookup:
    """How tokens become vectors.

    Attributes:
        name: a function of the module, or "" for a row of its codebook.
        last: the vectors come with their D numbers on the last axis, whatever the input's layout.
        summed: one vector per codebook came, on a first axis, and they are added.
    """

    name: str
    last: bool
    summed: bool


def call(module: nn.Module, name: str, tokens: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Vectors by the function ``name``; one that asks for a shape too is given (B, H, W, D)."""
    function: Callable[..., Tensor] = getattr(module, name)
    asked = [
        p
        for p in inspect.signature(function).parameters.values()
        if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
    ]
    return function(tokens, shape) if len(asked) == 2 else function(tokens)


def row(module: nn.Module, codebook_size: int, code_dim: int, tokens: Tensor) -> Tensor:
    """Rows (B, H, W, D) at ``tokens`` (B, H, W) of the one tensor (K, D) that a module has.

    Raises:
        NotImplementedError: it has none, or several.
    """
    tables = [
        t.reshape(codebook_size, -1)
        for t in codebook_tensors(module, codebook_size).values()
        if t.numel() == codebook_size * code_dim
    ]
    if len(tables) != 1 or tokens.ndim != 3:
        raise NotImplementedError(
            f"no function of {type(module).__name__} turns tokens into vectors, and it has no one "
            f"codebook ({codebook_size}, {code_dim}); --outputs decoder=NAME names the function"
        )
    return tables[0][tokens]


def candidates(module: nn.Module, named: str) -> list[str]:
    """Functions that may turn tokens into vectors, in the order in which they are tried."""
    names = (named,) if named else DECODERS
    return [n for n in names if inspect.ismethod(getattr(module, n, None))]


def tried(module: nn.Module, name: str, tokens: Tensor, shape: tuple[int, ...]) -> Tensor | None:
    """What a candidate gives, or None where it refuses these tokens."""
    try:
        with torch.no_grad():
            found = call(module, name, tokens, shape)
    except ERRORS:
        return None
    return found if isinstance(found, Tensor) and found.is_floating_point() else None
