"""A logger for TensorBoard; needs ``collapsebench[tensorboard]``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from collapsebench import extras
from collapsebench.monitor import PREFIX
from collapsebench.settings import UserError


def to_tensorboard(folder: Path | str) -> Callable[[dict[str, float]], None]:
    """A ``log`` for ``CodebookMonitor`` that writes scalars, their step the number of updates.

    Raises:
        UserError: tensorboard or torch is not installed.
    """
    extras.require("torch")
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError:
        raise UserError(extras.needed("tensorboard")) from None
    writer = SummaryWriter(folder)

    def log(values: dict[str, float]) -> None:
        for name, value in values.items():
            writer.add_scalar(name, value, int(values[f"{PREFIX}/updates"]))
        writer.flush()

    return log
