# %% [markdown]
# # A monitor in a plain training loop
# A small vector-quantized autoencoder on random vectors; every 50 steps the monitor says how the
# codebook is used, and keeps a history in `codes.parquet`. W&B and trackio: `log=wandb.log`,
# `log=trackio.log`.

# %%
import torch
from torch import nn

from collapsebench import CodebookMonitor

STEPS, EVERY, SIZE, DIM = 200, 50, 64, 8

torch.manual_seed(0)
encoder, decoder = nn.Linear(16, DIM), nn.Linear(DIM, 16)
codebook = nn.Parameter(torch.randn(SIZE, DIM))
optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters(), codebook], lr=1e-3)
monitor = CodebookMonitor(codebook_size=SIZE, out="codes.parquet")

# %%
for step in range(1, STEPS + 1):
    x = torch.randn(512, 16)
    z_e = encoder(x)
    tokens = torch.cdist(z_e.detach(), codebook.detach()).argmin(dim=1)
    z_q = codebook[tokens]
    loss = (decoder(z_e + (z_q - z_e).detach()) - x).square().mean()
    loss = loss + (z_q - z_e.detach()).square().mean() + 0.25 * (z_e - z_q.detach()).square().mean()

    monitor.update(tokens, z_e=z_e, codebook=codebook)  # waits for nothing

    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % EVERY == 0:
        now = monitor.compute()
        print(
            f"step {step}: usage {now['window/usage']:.2f} of at most "
            f"{now['window/usage_ceiling']:.2f}, perplexity {now['window/perplexity']:.1f}, "
            f"{monitor.verdict}"
        )

# %% [markdown]
# Then, in a shell: `collapsebench diagnose codes.parquet`, or `--watch` while it trains.
