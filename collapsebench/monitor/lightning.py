"""A callback for Lightning, under either of its package names."""

from __future__ import annotations

from typing import Any

from collapsebench.monitor import PREFIX, CodebookMonitor

try:
    from lightning.pytorch.callbacks import Callback
except ModuleNotFoundError:
    try:
        from pytorch_lightning.callbacks import Callback
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "LightningMonitor needs Lightning: pip install lightning", name="lightning"
        ) from None


class LightningMonitor(Callback):
    """Watches one quantizer of a LightningModule; its numbers go to the trainer's loggers.

    The counts are saved with each checkpoint and go on from it.
    """

    def __init__(self, monitor: CodebookMonitor, quantizer: str, every_n_steps: int = 100):
        """Attaches nothing yet.

        Args:
            monitor: its windows are ``every_n_steps`` long.
            quantizer: the name of the module in the LightningModule, like "model.quantizer".
            every_n_steps: optimizer steps between two calls of ``compute``.
        """
        self.monitor, self.quantizer, self.every_n_steps = monitor, quantizer, every_n_steps
        self.computed = 0  # the step of the last window

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Attaches the monitor."""
        self.handle = self.monitor.attach(pl_module.get_submodule(self.quantizer))

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Closes a window where it is due: not twice while gradients are accumulated."""
        step = trainer.global_step
        if step % self.every_n_steps or step == self.computed:
            return
        self.computed = step
        values = {f"{PREFIX}/{name}": value for name, value in self.monitor.compute().items()}
        for logger in trainer.loggers:
            logger.log_metrics(values, step=step)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Takes the monitor off."""
        self.handle.remove()

    def state_dict(self) -> dict[str, Any]:
        """The monitor's."""
        return self.monitor.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on where it was taken."""
        self.monitor.load_state_dict(state_dict)
