# %% [markdown]
# # A monitor in the Trainer of transformers
# The callback attaches the monitor to a quantizer by its name; its numbers are in the trainer's
# `log_history`, and its counts in every checkpoint. `pip install transformers accelerate`.

# %%
import torch
from torch import nn
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments

from collapsebench import CodebookMonitor
from collapsebench.methods.vq_vae import VQVAE
from collapsebench.monitor.transformers import TransformersMonitor

torch.manual_seed(0)


class Images(Dataset):
    images = torch.rand(640, 3, 16, 16)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> dict[str, torch.Tensor]:
        return {"x": self.images[i]}


class Autoencoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Conv2d(3, 8, 4, 4), nn.ConvTranspose2d(8, 3, 4, 4)
        self.quantizer = VQVAE(64, 8, VQVAE.Settings())

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        quantized = self.quantizer(self.encoder(x))
        return {"loss": (self.decoder(quantized.z_q) - x).square().mean() + quantized.loss}


# %%
monitor = CodebookMonitor(codebook_size=64, out="codes.parquet")
trainer = Trainer(
    model=Autoencoder(),
    args=TrainingArguments(
        "checkpoints",
        max_steps=40,
        logging_steps=10,
        per_device_train_batch_size=16,
        remove_unused_columns=False,
        report_to=[],
        use_cpu=True,
    ),
    train_dataset=Images(),
    callbacks=[TransformersMonitor(monitor, quantizer="quantizer")],
)
trainer.train()
print(f"usage {monitor.values()['usage']:.2f}, {monitor.verdict}")
