# %% [markdown]
# # The same tokens by two measures
# What a loop usually prints, and what pooled counts say, of uniform use of the whole codebook:
# nothing here is collapsed. `python examples/misleading_numbers.py` prints the table of
# `docs/monitor.md`.

# %%
import numpy as np

from collapsebench import CodebookMonitor, metrics

SIZE, RANKS, STEPS, BATCH = 4096, 2, 40, 1024  # 1,024 tokens in a batch of each rank
WINDOW = 65_536  # tokens of "usage over the last 65 536"

rng = np.random.default_rng(0)
ranks = [CodebookMonitor(SIZE) for _ in range(RANKS)]
by_batch = []
for _ in range(STEPS):
    for monitor in ranks:
        tokens = rng.integers(0, SIZE, BATCH)
        monitor.update(tokens)
        by_batch.append(metrics.perplexity(metrics.counts(tokens, SIZE)))
ranks[0].merge(ranks[1])  # what compute does over the ranks of a process group
pooled = ranks[0].compute()

# %%
print("| uniform use of all codes | usually printed | pooled | the most there can be |")
print("|---|---:|---:|---:|")
print(
    f"| perplexity, K = {SIZE:,}, {RANKS} ranks | {np.mean(by_batch):,.0f} (mean of batches) | "
    f"{pooled['perplexity']:,.0f} | {pooled['perplexity_ceiling']:,.0f} |"
)
for size in (16_384, 65_536, 262_144):
    monitor = CodebookMonitor(size)
    monitor.update(rng.integers(0, size, WINDOW))
    first = monitor.compute()
    for _ in range(8 * size // WINDOW):
        monitor.update(rng.integers(0, size, WINDOW))
    whole = monitor.compute()
    print(
        f"| usage, K = {size:,}, last {WINDOW:,} tokens | {100 * first['usage']:.1f} % | "
        f"{100 * whole['usage']:.1f} % | {100 * first['usage_ceiling']:.1f} % in the window |"
    )
