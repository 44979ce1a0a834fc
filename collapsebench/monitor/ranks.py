"""The ranks of ``torch.distributed``, where there are any; only ``compute`` asks."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray


def _group() -> Any:
    """``torch.distributed`` of a process that is one of several, else None; never loads torch."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return None
    return distributed if distributed.get_world_size() > 1 else None


def first() -> bool:
    """Whether this is the rank that writes."""
    group = _group()
    return group is None or group.get_rank() == 0


def summed(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """The sum over all ranks, by one ``all_reduce``."""
    group = _group()
    if group is None:
        return values
    torch = sys.modules["torch"]
    device = "cuda" if group.get_backend() == "nccl" else "cpu"
    tensor = torch.from_numpy(values.copy()).to(device)
    group.all_reduce(tensor)
    return np.asarray(tensor.cpu())


def gathered(value: Any) -> list[Any]:
    """A small picklable value of every rank, in order of rank."""
    group = _group()
    if group is None:
        return [value]
    found: list[Any] = [None] * group.get_world_size()
    group.all_gather_object(found, value)
    return found
