"""The images and arrays of jobs; PNG grids cut and laid out so that methods stand side by side."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from collapsebench.report import style
from collapsebench.report.data import ReportData
from collapsebench.report.rows import Comparison, TableRow
from collapsebench.report.style import Drawing

GAP = 2  # pixels between images, in a job's grid and in ours
INCH = 0.5  # side of an image in print
LABELS = 1.1  # inches beside the images
TALLEST = 8.5  # inches that a mosaic may take of a page


def cut(path: Path, rows: int) -> np.ndarray:
    """A job's PNG of square images -> (rows, columns, H, W, 3) uint8."""
    with Image.open(path) as file:
        canvas = np.asarray(file.convert("RGB"))
    side = (canvas.shape[0] - GAP) // rows - GAP
    columns = (canvas.shape[1] - GAP) // (side + GAP)
    cells = canvas[GAP:, GAP:][: rows * (side + GAP), : columns * (side + GAP)]
    cells = cells.reshape(rows, side + GAP, columns, side + GAP, 3)
    return cells[:, :side, :, :side].swapaxes(1, 2)


def strips(
    data: ReportData, comparison: Comparison, name: str, rows: int
) -> list[tuple[TableRow, np.ndarray]]:
    """Each method's images of a comparison, from its smallest seed that has them."""
    found = []
    for variant, group in data.column(comparison):
        cells = (_cut(path, rows) for job in group.jobs if (path := data.file(job, name)))
        first = next((images for images in cells if images is not None), None)
        if first is not None:
            found.append((variant, first))
    return found


def _cut(path: Path, rows: int) -> np.ndarray | None:
    """As ``cut``; None for a damaged file, which is named."""
    try:
        return cut(path, rows)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        warnings.warn(f"skipped {path}: {error}", stacklevel=2)
        return None


def array(path: Path) -> np.ndarray | None:
    """The array of a job's file; None for a damaged one, which is named."""
    try:
        with path.open("rb") as file:  # ``np.load`` would open archives, too
            return np.lib.format.read_array(file, allow_pickle=False)
    except (OSError, ValueError, EOFError, MemoryError, OverflowError) as error:
        warnings.warn(f"skipped {path}: {error}", stacklevel=3)
        return None


def lay_out(rows: list[tuple[str, np.ndarray]]) -> Drawing:
    """Labelled rows of images (columns, H, W, 3) as one mosaic, pixel for pixel."""
    columns = max(len(images) for _, images in rows)
    side = rows[0][1].shape[1]
    step = side + GAP
    mosaic = np.zeros((len(rows) * step - GAP, columns * step - GAP, 4), np.uint8)
    for i, (_, images) in enumerate(rows):
        for j, image in enumerate(images):
            place = mosaic[i * step : i * step + side, j * step : j * step + side]
            place[..., :3], place[..., 3] = image, 255
    inch = min(INCH, (style.PAGE - LABELS) / columns, TALLEST / len(rows)) / step
    canvas, axes = style.panels(1, 1, mosaic.shape[0] * inch + 0.1, mosaic.shape[1] * inch + LABELS)
    ax = axes[0, 0]
    ax.imshow(mosaic)
    ax.grid(False)
    ax.spines[:].set_visible(False)
    ax.set_xticks([])
    labels = [label for label, _ in rows]
    names = [style.short(label, beside=labels) for label in labels]
    ax.set_yticks([i * step + side / 2 for i in range(len(rows))], names)
    ax.tick_params(length=0)
    return canvas
