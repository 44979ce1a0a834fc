"""A callback for the Trainer of transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from collapsebench.monitor import PREFIX, CodebookMonitor

try:
    from transformers import TrainerCallback
except ModuleNotFoundError:
    raise ModuleNotFoundError(
        "TransformersMonitor needs transformers: pip install transformers", name="transformers"
    ) from None

STATE = "codebook_monitor.pt"  # in the folder of a checkpoint


class TransformersMonitor(TrainerCallback):
    """Watches one quantizer of the model; its numbers go to the trainer's ``log_history``.

    Other loggers are the monitor's own ``log``. The counts are saved with each checkpoint and go on
    from the one that training resumes from.
    """

    def __init__(self, monitor: CodebookMonitor, quantizer: str):
        """Attaches nothing yet.

        Args:
            monitor: its windows are ``logging_steps`` of the trainer long.
            quantizer: the name of the module in the model, like "quantizer".
        """
        self.monitor, self.quantizer = monitor, quantizer

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Attaches the monitor, and loads what a checkpoint holds."""
        self.handle = self.monitor.attach(kwargs["model"].get_submodule(self.quantizer))
        saved = _file(args, state)
        if state.global_step and saved.is_file():
            import torch

            self.monitor.load_state_dict(torch.load(saved, weights_only=True))

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Closes a window where the trainer logs."""
        if state.global_step % max(1, int(state.logging_steps)) == 0:
            values = {f"{PREFIX}/{name}": v for name, v in self.monitor.compute().items()}
            state.log_history.append({"step": state.global_step, **values})

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Beside the weights, by the first process."""
        if state.is_world_process_zero:
            import torch

            torch.save(self.monitor.state_dict(), _file(args, state))

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Takes the monitor off."""
        self.handle.remove()


def _file(args: Any, state: Any) -> Path:
    return Path(args.output_dir) / f"checkpoint-{state.global_step}" / STATE
