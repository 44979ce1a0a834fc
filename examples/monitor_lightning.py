# %% [markdown]
# # A monitor in Lightning
# The callback attaches the monitor to a quantizer by its name, sends its numbers to the trainer's
# loggers and saves its counts in every checkpoint. `pip install lightning`.

# %%
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from collapsebench import CodebookMonitor
from collapsebench.methods.vq_vae import VQVAE
from collapsebench.monitor.lightning import LightningMonitor

torch.manual_seed(0)


class Autoencoder(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Conv2d(3, 8, 4, 4), nn.ConvTranspose2d(8, 3, 4, 4)
        self.quantizer = VQVAE(64, 8, VQVAE.Settings())

    def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
        quantized = self.quantizer(self.encoder(batch[0]))
        return (self.decoder(quantized.z_q) - batch[0]).square().mean() + quantized.loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=1e-3)


# %%
monitor = CodebookMonitor(codebook_size=64, out="codes.parquet")
trainer = Trainer(
    max_steps=40,
    accelerator="cpu",
    logger=CSVLogger("logs"),
    callbacks=[LightningMonitor(monitor, quantizer="quantizer", every_n_steps=10)],
    enable_progress_bar=False,
)
trainer.fit(Autoencoder(), DataLoader(TensorDataset(torch.rand(640, 3, 16, 16)), batch_size=16))
print(f"usage {monitor.values()['usage']:.2f}, {monitor.verdict}")
