"""Which accelerators this machine has, without loading torch."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Sequence

from collapsebench.settings import UserError, shown


@functools.cache
def gpus() -> tuple[str, ...]:
    """Indices of the NVIDIA GPUs that this process may use; none without a driver."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return tuple(part.strip() for part in visible.split(",") if part.strip())
    import pynvml

    try:
        pynvml.nvmlInit()
        return tuple(str(i) for i in range(pynvml.nvmlDeviceGetCount()))
    except pynvml.NVMLError:
        return ()


def chosen(text: str) -> tuple[str, ...]:
    """``0,1`` -> ("0", "1"); "" for none.

    Raises:
        UserError: no index and no id of a device, one named twice, or one that is not here.
    """
    named = tuple(part.strip() for part in text.split(",") if part.strip())
    for gpu in named:
        if not re.fullmatch(r"\d+|(GPU|MIG)-[\w-]+", gpu):
            raise UserError(f"--gpus {shown(text)} must be like 0,1, or '' for none")
        if named.count(gpu) > 1 or (gpu.isdecimal() and gpu not in gpus()):
            known = ", ".join(gpus()) or "none"
            raise UserError(f"--gpus {shown(text)} must be of the GPUs here, each once: {known}")
    return named


def kind(gpu_ids: Sequence[str]) -> str:
    """The device that costs are reckoned for: the first GPU's kind if it is known, else cpu."""
    if not gpu_ids:
        return "cpu"
    import pynvml

    try:
        name = pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByIndex(0)).lower()
    except pynvml.NVMLError:
        return "a100"
    return next((known for known in ("h100", "h200") if known in name), "a100")
