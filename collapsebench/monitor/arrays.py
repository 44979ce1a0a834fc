"""Numpy arrays and torch tensors by one spelling; torch is used where it is loaded, never loaded.

Nothing here waits for a device but ``collapsebench.metrics.to_array``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def is_tensor(values: Any) -> bool:
    """Whether it is a torch tensor."""
    return hasattr(values, "detach")


def as_given(values: Any) -> Any:
    """A tensor without its gradient, on its device; anything else as a numpy array."""
    return values.detach() if is_tensor(values) else np.asarray(values)


def int64(values: Any) -> Any:
    """Integers of any width as int64.

    Raises:
        ValueError: no integers.
    """
    if is_tensor(values):
        if values.is_floating_point() or values.is_complex() or "bool" in str(values.dtype):
            raise ValueError(f"tokens must be integers, not {values.dtype}")
        return values.long()
    if not np.issubdtype(values.dtype, np.integer):
        raise ValueError(f"tokens must be integers, not {values.dtype}")
    return values.astype(np.int64, copy=False)


def float64(values: Any) -> Any:
    """A copy as float64; as float32 on a device without float64 (Apple's)."""
    if is_tensor(values):
        return values.float().clone() if values.device.type == "mps" else values.double().clone()
    return values.astype(np.float64)


def joined(parts: Sequence[Any]) -> Any:
    """Flat arrays, or flat tensors, as one."""
    if len(parts) == 1:
        return parts[0]
    return sys.modules["torch"].cat(list(parts)) if is_tensor(parts[0]) else np.concatenate(parts)


def stacked(parts: Sequence[Any]) -> Any:
    """Arrays or tensors of one shape along a new first axis."""
    return sys.modules["torch"].stack(list(parts)) if is_tensor(parts[0]) else np.stack(parts)


def beside(reference: Any, values: Any) -> Any:
    """``values`` as the kind of array, and on the device, of ``reference``."""
    if is_tensor(reference):
        return sys.modules["torch"].as_tensor(values, device=reference.device)
    return values.detach().cpu().numpy() if is_tensor(values) else values


def add_counts(bins: Any, index: Any) -> Any:
    """``bins`` with one more at each of ``index``.

    Not ``torch.bincount``, which asks a GPU for the largest index and so waits for it.
    """
    if is_tensor(bins):
        return bins.scatter_add_(0, index, index.new_ones(index.shape))
    return bins + np.bincount(index, minlength=len(bins))


def snapshot(reference: Any, value: Any) -> Any:
    """A copy of nested arrays, all of the kind of ``reference``; plain values as they are."""
    if isinstance(value, (list, tuple)):
        return [snapshot(reference, one) for one in value]
    if isinstance(value, Mapping):
        return {key: snapshot(reference, one) for key, one in value.items()}
    if not hasattr(value, "shape"):
        return value
    mine = beside(reference, value)
    return mine.clone() if is_tensor(mine) else np.array(mine)
