"""Tokens, masks and vectors in the shapes that people have -> flat ones of each codebook."""

from __future__ import annotations

import math
from typing import Any

from collapsebench.monitor.arrays import as_given, beside, int64


def token_parts(tokens: Any, codebooks: int, axis: int) -> list[Any]:
    """The tokens of each codebook: slices along ``axis``, or the arrays of a list.

    Raises:
        ValueError: no integers, or no axis of that length.
    """
    if isinstance(tokens, (list, tuple)) and any(getattr(one, "ndim", 0) for one in tokens):
        if len(tokens) != codebooks:
            raise ValueError(f"tokens of {len(tokens)} codebooks are given, not of {codebooks}")
        return [int64(as_given(one)) for one in tokens]
    whole = int64(as_given(tokens))
    if codebooks == 1:
        return [whole]
    if not -whole.ndim <= axis < whole.ndim or whole.shape[axis] != codebooks:
        raise ValueError(
            f"tokens {tuple(whole.shape)} have no axis {axis} of {codebooks} codebooks"
        )
    last = _to_end(whole, axis)
    return [last[..., q] for q in range(codebooks)]


def kept(parts: list[Any], mask: Any, ignore: int | None, axis: int) -> list[Any]:
    """Where the tokens of each codebook are no padding, flat; None where all count.

    Raises:
        ValueError: a mask that is neither of the tokens' shape nor of their positions'.
    """
    masks = _masks(parts, mask, axis)
    keeps = []
    for part, one in zip(parts, masks, strict=True):
        keep = None if one is None else (beside(part, as_given(one)) != 0).reshape(-1)
        if ignore is not None:
            given = (part != ignore).reshape(-1)
            keep = given if keep is None else keep & given
        keeps.append(keep)
    return keeps


def _masks(parts: list[Any], mask: Any, axis: int) -> list[Any]:
    if mask is None:
        return [None] * len(parts)
    if isinstance(mask, (list, tuple)) and any(getattr(one, "ndim", 0) for one in mask):
        masks = list(mask)
    else:
        whole = as_given(mask)
        masks = [whole] * len(parts)
        if len(parts) > 1 and whole.ndim == parts[0].ndim + 1:
            last = _to_end(whole, axis)
            masks = [last[..., q] for q in range(last.shape[-1])]
    if [tuple(one.shape) for one in masks] != [tuple(part.shape) for part in parts]:
        shapes = [tuple(one.shape) for one in masks]
        raise ValueError(f"a mask of {shapes[0]} does not fit tokens of {tuple(parts[0].shape)}")
    return masks


def each(values: Any, codebooks: int) -> list[Any]:
    """One array per codebook: a list's, or of one array the first codebook's."""
    if isinstance(values, (list, tuple)):
        if len(values) != codebooks:
            raise ValueError(f"{len(values)} arrays are given for {codebooks} codebooks")
        return list(values)
    return [values, *[None] * (codebooks - 1)]


def codebook_parts(codebook: Any, sizes: tuple[int, ...]) -> list[Any]:
    """The codes (K, D) of each codebook, where they lie.

    Raises:
        ValueError: another number of codes.
    """
    if codebook is None:
        return [None] * len(sizes)
    if not isinstance(codebook, (list, tuple)):
        whole = as_given(codebook)
        codebook = [whole] if whole.ndim == 2 else [whole[q] for q in range(len(whole))]
    parts = [as_given(one) for one in codebook]
    shapes = [tuple(one.shape) for one in parts]
    if any(len(shape) != 2 for shape in shapes) or tuple(s[0] for s in shapes) != sizes:
        raise ValueError(f"codes of {shapes} do not fit codebooks of {list(sizes)} codes")
    return parts


def as_vectors(z_e: Any, positions: int) -> Any:
    """z_e (..., D), or (B, D, ...) with channels first, as (positions, D).

    Where both readings fit, maps (four axes and more) have their channels first and sequences last.

    Raises:
        ValueError: a shape that is neither.
    """
    z = as_given(z_e)
    axis = _channel_axis(tuple(z.shape), positions)
    if axis is None:
        raise ValueError(f"z_e {tuple(z.shape)} has no vector for each of the {positions} tokens")
    return _to_end(z, axis).reshape(positions, z.shape[axis])


def has_vectors(z_e: Any, positions: int) -> bool:
    """Whether ``as_vectors`` can read it."""
    return z_e is not None and _channel_axis(tuple(z_e.shape), positions) is not None


def _channel_axis(shape: tuple[int, ...], positions: int) -> int | None:
    size = math.prod(shape)
    if len(shape) < 2 or not positions or size % positions:
        return None
    order = (1, len(shape) - 1) if len(shape) > 3 else (len(shape) - 1, 1)
    return next((axis for axis in order if shape[axis] == size // positions), None)


def _to_end(values: Any, axis: int) -> Any:
    """The same with one axis moved to the end."""
    axis %= values.ndim
    order = (*(i for i in range(values.ndim) if i != axis), axis)
    return values.permute(order) if hasattr(values, "permute") else values.transpose(order)
