"""The figures of an inspection."""

from __future__ import annotations

import math
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from numpy.typing import NDArray
from scipy import stats

from collapsebench.inspect import Inspection
from collapsebench.inspect.counting import Use
from collapsebench.inspect.vectors import Geometry
from collapsebench.quantities import percent
from collapsebench.report import style
from collapsebench.report.palette import METHODS, Look
from collapsebench.report.style import COLUMN, INK, PAGE, QUIET, Drawing, legend, panels

HEIGHT = 2.3  # inches of a panel
PANEL = 1.6  # inches of a small panel of several
COLUMNS = 4  # small panels in a row
CURVE_POINTS = 300  # of a rank-frequency curve, even on a logarithmic axis
MEASURED, DEAD = METHODS["vq_vae_ema"], METHODS["dvae"]
COLORMAP = "viridis"
LIGHTEST = 0.55  # of the colour map, that can be told from white


def figures(inspection: Inspection) -> dict[str, Drawing]:
    """Every figure that the data allow, by name, in reading order."""
    drawings = {"ranks": ranks(inspection.uses), "seen": seen(inspection.uses)}
    if inspection.file.positions:
        drawings["positions"] = positions(inspection)
    if inspection.geometries:
        drawings["codes"] = codes(inspection.uses, inspection.geometries)
        drawings["nearest"] = nearest(inspection.geometries)
    return drawings


def ranks(uses: list[Use]) -> Drawing:
    """Share of the tokens by rank of the code, beside uniform use and Zipf's law."""
    drawing, axes = panels(1, 1, HEIGHT, COLUMN)
    ax = axes[0, 0]
    for use, color in zip(uses, _colors(ax, len(uses)), strict=True):
        rank = _spread(len(use.counts))
        shares = np.sort(use.counts)[::-1][rank - 1] / use.counts.sum()
        _positive(ax, rank, shares, color, "measured")
    for use in _sizes(uses):
        size, n = len(use.counts), int(use.counts.sum())
        rank = _spread(size)
        uniform = stats.binom.isf((rank - 0.5) / size, n, 1 / size) / n
        zipf = 1 / rank / (1 / np.arange(1, size + 1)).sum()
        _positive(ax, rank, uniform, INK, "uniform, at this count", "--")
        _positive(ax, rank, zipf, QUIET, "Zipf, 1/rank", ":")
    ax.set(xscale="log", yscale="log", xlabel="rank of the code", ylabel="share of the tokens")
    _legend(ax)
    return drawing


def seen(uses: list[Use]) -> Drawing:
    """Perplexity of the first tokens of the file, beside what uniform use would give."""
    drawing, axes = panels(1, 1, HEIGHT, COLUMN)
    ax = axes[0, 0]
    for use, color in zip(uses, _colors(ax, len(uses)), strict=True):
        ax.plot(use.seen, use.seen_perplexity, color=color, label="measured")
    for use in _sizes(uses):
        ax.plot(use.seen, use.seen_ceiling, color=INK, ls="--", label="uniform use")
    ax.set(xscale="log", xlabel="tokens seen, in file order", ylabel="perplexity")
    ax.set_ylim(bottom=0)
    _legend(ax)
    return drawing


def positions(inspection: Inspection) -> Drawing:
    """Perplexity at each position: maps, one sequence as a line, several as rows of one image."""
    uses, shape = inspection.uses, inspection.file.positions
    values = np.stack([use.position_perplexity for use in uses])
    if len(shape) == 2 and values.shape[1] == math.prod(shape):
        return _maps(values.reshape(-1, *shape), uses)
    drawing, axes = panels(1, 1, HEIGHT, PAGE)
    ax, place = (
        axes[0, 0],
        "group of positions" if values.shape[1] < math.prod(shape) else "position",
    )
    if len(uses) == 1:
        ax.plot(values[0], color=_colors(ax, 1)[0], label="measured")
        for use in _sizes(uses):
            ax.axhline(use.position_ceiling, color=INK, ls="--", label="uniform use")
        ax.set(xlabel=place, ylabel="perplexity")
        ax.set_ylim(bottom=0)
        _legend(ax)
        return drawing
    ax.grid(False)
    label, most = "perplexity", np.array([_most(use) for use in uses])
    if len(set(most)) > 1:
        label, values, most = "perplexity / uniform use", values / most[:, None], np.ones(1)
    image = ax.imshow(values, aspect="auto", cmap=COLORMAP, vmin=0, vmax=most[0])
    ax.set(xlabel=place, ylabel="codebook", yticks=_few(len(uses)))
    drawing.colorbar(image, ax=ax, label=label, pad=0.01)
    return drawing


def codes(uses: list[Use], geometries: list[Geometry]) -> Drawing:
    """The codes on their first two principal axes; dead codes apart."""
    drawing, axes = _small(len(uses))
    for q, (ax, use, g) in enumerate(zip(axes, uses, geometries, strict=True)):
        alive = use.counts[g.shown] > 0
        for mask, look, marker, label in (
            (alive, MEASURED, "o", "used"), (~alive, DEAD, "x", "dead"),
        ):  # fmt: skip
            if not mask.any():
                continue
            ax.plot(
                *g.plane[mask].T, ls="", marker=marker, markersize=2, markeredgewidth=0.5,
                color=look.color, label=label, rasterized=True,
            )  # fmt: skip
        ax.set(xlabel=f"{percent(g.explained, 0)} of the variance", xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
        ax.set_title(f"codebook {q}" if len(uses) > 1 else "")
    legend(drawing, axes)
    return drawing


def nearest(geometries: list[Geometry]) -> Drawing:
    """How far the nearest other code is: cumulative share of the codes."""
    drawing, axes = panels(1, 1, HEIGHT, COLUMN)
    ax = axes[0, 0]
    for g, color in zip(geometries, _colors(ax, len(geometries)), strict=True):
        ax.ecdf(g.nearest, color=color)
    ax.set(xlabel="distance to the nearest other code", ylabel="share of the codes")
    ax.set_xlim(left=0)
    return drawing


def _maps(maps: NDArray[np.float64], uses: list[Use]) -> Drawing:
    drawing, axes = _small(len(maps))
    for q, (ax, one, use) in enumerate(zip(axes, maps, uses, strict=True)):
        ax.grid(False)
        image = ax.imshow(one, cmap=COLORMAP, vmin=0, vmax=_most(use))
        ax.set(xticks=[0, one.shape[1] - 1], yticks=[0, one.shape[0] - 1])
        ax.set_title(f"codebook {q}" if len(maps) > 1 else "")
        drawing.colorbar(image, ax=ax, shrink=0.8, pad=0.02)
    return drawing


def _most(use: Use) -> float:
    """The end of a colour scale: uniform use, or the most there is if K is not known."""
    ceiling = use.position_ceiling
    return ceiling if math.isfinite(ceiling) else float(np.nanmax(use.position_perplexity))


def _sizes(uses: list[Use]) -> list[Use]:
    """One codebook of each known size: lines of uniform use depend on nothing else."""
    return list({len(use.counts): use for use in uses if use.ceilings}.values())


def _spread(size: int) -> NDArray[np.int64]:
    """Ranks of a curve over K codes."""
    return np.unique(np.geomspace(1, size, CURVE_POINTS).astype(np.int64))


def _small(count: int) -> tuple[Drawing, list[Axes]]:
    """A column's panel for one codebook; rows of small panels for several."""
    if count == 1:
        drawing, axes = panels(1, 1, HEIGHT, COLUMN)
        return drawing, [axes[0, 0]]
    drawing, axes = panels(math.ceil(count / COLUMNS), COLUMNS, PANEL)
    for ax in axes.flat[count:]:
        ax.remove()
    return drawing, list(axes.flat[:count])


def _positive(
    ax: Axes, x: NDArray[Any], y: NDArray[Any], color: Any, label: str, line: str = "-"
) -> None:
    ax.plot(x[y > 0], y[y > 0], color=color, ls=line, label=label)  # a log axis has no zero


def _colors(ax: Axes, count: int) -> list[str]:
    """Those of codebooks, from dark to light; the drawing then knows them, for the dark page."""
    tones = matplotlib.colormaps[COLORMAP](np.linspace(0, LIGHTEST, count))
    looks = [MEASURED] if count == 1 else [Look(to_hex(tone), "") for tone in tones]
    style.drawing(ax).looks.update(looks)
    return [look.color for look in looks]


def _few(count: int) -> list[int]:
    return sorted({0, count // 2, count - 1})


def _legend(ax: Axes) -> None:
    entries = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    ax.legend(entries.values(), entries.keys())
