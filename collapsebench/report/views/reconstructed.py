"""Vectors and sequences of the test split beside what is decoded from their tokens."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from collapsebench.report import images, sections, style
from collapsebench.report.data import ReportData
from collapsebench.report.figures import Figure
from collapsebench.report.rows import Comparison, TableRow
from collapsebench.report.style import Drawing
from collapsebench.settings import RECONSTRUCTED

title = "Reconstructions"
section = sections.RECONSTRUCTIONS
place = 605

ACROSS = 4  # panels in a row, a method each
POINT = 2.0  # size of a dot
Shown = list[tuple[TableRow, np.ndarray]]  # (2, n, ...): originals, reconstructions


def build(data: ReportData) -> list[Figure]:
    """One figure per dataset: a projection of vectors, curves of sequences."""
    figures = []
    for i, comparison in enumerate(data.focus):
        if shown := _shown(data, comparison):
            draw, caption = (_projections, PROJECTED) if shown[0][1].ndim == 3 else (_curves, DRAWN)
            name, words = f"reconstructed-{i + 1}", f"{title}, {comparison.label}"
            figures.append(Figure(name, words, caption, {"": draw(shown)}))
    return figures


FIRST_SEED = "the same items for every method, the first seed of each, in standard deviations."
PROJECTED = (
    "Grey: test vectors on their first two principal axes; coloured: what is decoded from their "
    f"tokens, on the same axes; {FIRST_SEED}"
)
DRAWN = (
    "The first test sequences in the feature that varies most. Grey: the sequence; coloured: what "
    f"is decoded from its tokens; {FIRST_SEED}"
)


def _shown(data: ReportData, comparison: Comparison) -> Shown:
    """Each method's items, from its smallest seed that has them."""
    shown = []
    for variant, group in data.column(comparison):
        arrays = (_load(path) for job in group.jobs if (path := data.file(job, RECONSTRUCTED)))
        first = next((items for items in arrays if items is not None), None)
        if first is not None:
            shown.append((variant, first))
    return shown


def _load(path: Path) -> np.ndarray | None:
    """The array of a job; None for a damaged file, which is named."""
    if (items := images.array(path)) is None:
        return None
    if items.ndim not in (3, 4) or len(items) != 2 or not items.size:
        warnings.warn(f"skipped {path}: an array {items.shape}", stacklevel=2)
        return None
    return items


def _projections(shown: Shown) -> Drawing:
    originals = shown[0][1][0]
    middle = originals.mean(axis=0)
    axes_of_most = np.linalg.svd(originals - middle, full_matrices=False)[2][:2]
    rows = -(-len(shown) // ACROSS)
    labels = [variant.label for variant, _ in shown]
    drawing, axes = style.panels(rows, ACROSS, 1.7)
    for ax, (variant, items) in zip(axes.flat, shown, strict=False):
        x, y = _plane(items[0] - middle, axes_of_most), _plane(items[1] - middle, axes_of_most)
        ax.plot(*x, ls="", marker=".", ms=POINT, mew=0, color=style.QUIET, alpha=0.6)
        _add(ax, variant, *y, ls="", marker="o", ms=POINT, mew=0)
        ax.set_title(style.short(variant.label, beside=labels))
    for ax in axes.flat[len(shown) :]:
        ax.remove()
    return drawing


def _plane(vectors: np.ndarray, axes_of_most: np.ndarray) -> np.ndarray:
    """(n, F) -> (2, n); of a single feature the second is 0."""
    places = np.zeros((2, len(vectors)))
    places[: len(axes_of_most)] = axes_of_most @ vectors.T
    return places


def _curves(shown: Shown) -> Drawing:
    count = shown[0][1].shape[1]
    labels = [variant.label for variant, _ in shown]
    feature = int(shown[0][1][0].var(axis=(0, 1)).argmax())
    drawing, axes = style.panels(len(shown), count, 0.8)
    for i, (row, (variant, items)) in enumerate(zip(axes, shown, strict=True), 1):
        for ax, original, decoded in zip(row, *items[..., feature], strict=False):
            ax.plot(original, color=style.QUIET, lw=1)
            _add(ax, variant, np.arange(len(decoded)), decoded, lw=1)
            ax.tick_params(labelbottom=i == len(shown))
        row[0].set_ylabel(
            style.short(variant.label, beside=labels), rotation=0, ha="right", va="center"
        )
    return drawing


def _add(ax: Axes, variant: TableRow, x: np.ndarray, y: np.ndarray, **looks: Any) -> None:
    (artist,) = ax.plot(x, y, color=variant.look.color, **looks)
    style.tag(artist, variant.label)
    style.drawing(ax).looks.add(variant.look)
