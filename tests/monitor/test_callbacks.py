"""The callbacks in the real trainers, where these are installed."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from collapsebench import CodebookMonitor
from collapsebench.methods.vq_vae import VQVAE
from collapsebench.settings import UserError

STEPS, BATCH, SIZE = 6, 4, 8


class Vectors(Dataset):
    """Draws nothing twice: item i is always the same."""

    def __len__(self):
        return STEPS * BATCH

    def __getitem__(self, i):
        return {"x": torch.randn(3, 2, 2, generator=torch.Generator().manual_seed(i))}


class Autoencoder(nn.Module):
    """The smallest there is: no encoder, a quantizer, one weight."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.quantizer = VQVAE(SIZE, 3, VQVAE.Settings())

    def forward(self, x):
        quantized = self.quantizer(self.scale * x)
        return {"loss": (quantized.z_q - x).square().mean() + quantized.loss}


@pytest.fixture
def monitor():
    torch.manual_seed(0)
    return CodebookMonitor(SIZE)


@pytest.mark.filterwarnings("ignore")  # the trainer's own
def test_lightning_logs_each_window_and_a_checkpoint_holds_the_counts(monitor, tmp_path):
    pytest.importorskip("lightning", reason="lightning is not installed")
    from lightning.pytorch import LightningModule, Trainer
    from lightning.pytorch.loggers import CSVLogger

    from collapsebench.monitor.lightning import LightningMonitor

    class Module(LightningModule):
        def __init__(self):
            super().__init__()
            self.model = Autoencoder()

        def training_step(self, batch, _):
            return self.model(**batch)["loss"]

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    def trainer(callback, steps):
        return Trainer(
            max_steps=steps, accelerator="cpu", callbacks=[callback], enable_progress_bar=False,
            logger=CSVLogger(tmp_path), enable_model_summary=False, default_root_dir=tmp_path,
        )  # fmt: skip

    loader = DataLoader(Vectors(), batch_size=BATCH)
    first = trainer(LightningMonitor(monitor, "model.quantizer", every_n_steps=2), 4)
    first.fit(Module(), loader)
    first.save_checkpoint(tmp_path / "at4.ckpt")
    logged = pd.read_csv(f"{first.logger.log_dir}/metrics.csv")
    assert list(logged["step"]) == [2, 4]
    assert logged["codebook/tokens"].iloc[-1] == 4 * BATCH * 4
    again = CodebookMonitor(SIZE)
    callback = LightningMonitor(again, "model.quantizer", every_n_steps=2)
    trainer(callback, 6).fit(Module(), loader, ckpt_path=tmp_path / "at4.ckpt", weights_only=False)
    assert again.values()["tokens"] == 6 * BATCH * 4


@pytest.mark.filterwarnings("ignore")  # the trainer's own
def test_transformers_logs_each_window_and_a_checkpoint_holds_the_counts(monitor, tmp_path):
    pytest.importorskip("accelerate", reason="transformers' trainer is not installed")
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    from collapsebench.monitor.transformers import TransformersMonitor

    def trainer(watched, steps):
        arguments = transformers.TrainingArguments(
            tmp_path, max_steps=steps, logging_steps=2, save_steps=4, report_to=[], use_cpu=True,
            per_device_train_batch_size=BATCH, remove_unused_columns=False, disable_tqdm=True,
        )  # fmt: skip
        return transformers.Trainer(
            model=Autoencoder(), args=arguments, train_dataset=Vectors(),
            callbacks=[TransformersMonitor(watched, "quantizer")],
        )  # fmt: skip

    first = trainer(monitor, 4)
    first.train()
    logged = [row for row in first.state.log_history if "codebook/usage" in row]
    assert [row["step"] for row in logged] == [2, 4]
    assert logged[-1]["codebook/tokens"] == 4 * BATCH * 4
    again = CodebookMonitor(SIZE)
    trainer(again, 6).train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    assert again.values()["tokens"] == 6 * BATCH * 4


def test_tensorboard_gets_scalars_by_update(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from collapsebench.monitor.tensorboard import to_tensorboard

    monitor = CodebookMonitor(4, log=to_tensorboard(tmp_path))
    for token in range(2):
        monitor.update(np.array([token]))
        monitor.compute()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    found = [(event.step, event.value) for event in events.Scalars("codebook/usage")]
    assert found == [(1, 0.25), (2, 0.5)]


def test_without_tensorboard_the_extra_is_named(tmp_path, monkeypatch):
    from collapsebench.monitor.tensorboard import to_tensorboard

    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    with pytest.raises(UserError, match=r"collapsebench\[tensorboard\]"):
        to_tensorboard(tmp_path)
