"""``python docs/gpu/draw.py``: perplexity along training from ``curves.csv``, for findings.md."""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from collapsebench.plan import registry
from collapsebench.report import palette

HERE = Path(__file__).parent
SIZE = 512
AT = {"vq_ste_pp": 47, "sq_vae": 38, "vq_vae_ema": 47, "gs_vq_vae": 47}  # where a label stands
BELOW = {"vq_vae_ema": -14, "edvae": -18, "sq_vae": -16}  # points

curves = pd.read_csv(HERE / "curves.csv")
paper = pd.read_csv(HERE.parent.parent / "baselines" / "paper.csv")
printed = paper.query(
    "source == 'Table 1' and dataset == 'cifar10' and metric == 'perplexity' and split == 'test'"
).set_index("method")["mean"]
looks = palette.looks(curves["method"].unique())

figure, axes = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
for method, curve in curves.groupby("method"):
    label, color = registry.method_class(method).label, looks[method].color
    axes.plot(curve["step"], curve["perplexity"], color=color, lw=1.6)
    axes.plot(20000, printed[method], marker="<", ms=6, color=color, clip_on=False)
    end = curve.iloc[-1] if len(curve) < 50 else curve.iloc[AT[method]]
    axes.annotate(label, (end["step"], end["perplexity"]), (0, BELOW.get(method, 5)),
                  textcoords="offset points", color=color, fontsize=8, ha="right")  # fmt: skip
axes.axhline(SIZE, color="grey", lw=0.8, ls=":")
axes.annotate("uniform use", (200, SIZE), (0, 3), textcoords="offset points", fontsize=8)
axes.set(xlim=(0, 20500), ylim=(0, 540), xlabel="step of the paper's 150 000",
         ylabel="perplexity, K = 512")  # fmt: skip
axes.set_title("right edge: the paper's Table 1, after 150 000", fontsize=8, loc="right")
axes.spines[["top", "right"]].set_visible(False)
figure.savefig(HERE / "curves.png", dpi=150)
