"""What a quantizer module takes and gives, found in a forward pass by type and name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from collapsebench.monitor.arrays import is_tensor

NAMES = ("tokens", "indices", "codes", "encoding_indices", "ids")  # of tokens, the likeliest first
CODEBOOKS = ("codes", "codebook", "codebooks", "embedding", "embeddings", "embed", "_codebook")


def tokens_in(output: Any) -> Any:
    """The first tensor of integers in what a module returned, one that is named so before others.

    Raises:
        ValueError: there is none.
    """
    found = [(name, value) for name, value in _parts("", output) if _whole(value)]
    if not found:
        given = ", ".join(_kind(value) for _, value in _parts("", output)) or type(output).__name__
        raise ValueError(
            f"no integer tokens in what the module returns ({given}): call update(tokens) instead"
        )
    ranked = [pair for name in NAMES for pair in found if pair[0] == name]
    return (ranked or found)[0][1]


def z_e_in(inputs: tuple[Any, ...]) -> Any:
    """The first tensor of floats that a module was given; None if there is none."""
    tensors = (value for _, value in _parts("", inputs) if is_tensor(value))
    return next((value for value in tensors if value.is_floating_point()), None)


def codebook_of(module: Any, sizes: tuple[int, ...]) -> Any:
    """The codes of a module, (K, D) or (Q, K, D), by their usual names; None if not found."""
    for name in CODEBOOKS:
        value: Any = getattr(module, name, None)
        value = value() if name == "codes" and callable(value) else value
        value = getattr(value, "weight", value)
        if not is_tensor(value):
            continue
        if value.ndim == 3 and len(sizes) == 1 and value.shape[0] == 1:
            value = value[0]
        wanted = (sizes[0],) if len(sizes) == 1 else (len(sizes), sizes[0])
        if value.ndim == len(wanted) + 1 and tuple(value.shape[:-1]) == wanted:
            return value
    return None


def _parts(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Every tensor in a nest of tuples, mappings and dataclasses, with its innermost name."""
    if is_tensor(value):
        yield name, value
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _parts(str(key), one)
    elif hasattr(value, "_asdict"):
        yield from _parts(name, value._asdict())
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _parts(name, one)
    elif hasattr(value, "__dataclass_fields__"):
        yield from _parts(name, vars(value))


def _whole(value: Any) -> bool:
    floats = value.is_floating_point() or value.is_complex()
    return not floats and "bool" not in str(value.dtype) and value.ndim > 0


def _kind(value: Any) -> str:
    return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
