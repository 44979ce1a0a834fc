"""How every figure looks, whatever it shows. Drawn at the width at which it prints."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import LogLocator, NullLocator

from collapsebench.report.palette import Look

COLUMN = 3.46  # inches: one column of a two-column journal page (88 mm)
PAGE = 7.09  # inches: both columns (180 mm)

INK = "#1b1e24"  # text and axes; the page replaces these by its own theme's colours
QUIET = "#6b7280"
LINE = "#dfe2e7"
GHOST = "#c9cdd5"  # methods of other panels
PAPER = "#fffffe"  # inside of hollow markers
DECADE = 10.0  # ratio of the largest to the smallest value from which an axis is logarithmic
LONGEST = 30  # characters of a name in a figure
NARROW = 15  # where names stand side by side
SHARES = (0.0, 102.0)  # of an axis in %: with room for a marker at 100
THEME = {INK: "var(--ink)", QUIET: "var(--quiet)", LINE: "var(--line)", GHOST: "var(--ghost)",
         PAPER: "var(--paper)"}  # fmt: skip

RC: dict[str, object] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Helvetica", "Arial", "sans-serif"],
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.labelsize": 7.5,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "grid.color": LINE,
    "grid.linewidth": 0.5,
    "text.color": INK,
    "text.parse_math": False,  # a "$" in somebody's label is one
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "legend.handlelength": 1.8,
    "lines.linewidth": 1.4,
    "lines.markersize": 4,
    "figure.facecolor": "none",
    "figure.constrained_layout.h_pad": 0.04,
    "figure.constrained_layout.w_pad": 0.04,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "image.interpolation": "none",
    "image.composite_image": False,
}


def apply_style() -> None:
    """Sets matplotlib's parameters; inside ``matplotlib.rc_context()`` they are undone after it."""
    matplotlib.rcParams.update(RC)  # type: ignore[arg-type]


class Named(Protocol):
    """Whatever has a printed name and a look."""

    @property
    def label(self) -> str:
        """The name in the legend."""

    @property
    def look(self) -> Look:
        """Colour, marker and line."""


Numbers = Sequence[float] | np.ndarray


class Drawing(Canvas):
    """A matplotlib figure that remembers what its points are called, for the page's script.

    Attributes:
        points: (axes, series, x, y, text) for each value that the page shows on hover.
        looks: of the methods in it, whose colours differ from theme to theme.
        finish: what is left to do once the panels have their places.
    """

    def __init__(self, width: float, height: float):
        super().__init__(figsize=(width, height), layout="constrained")
        self.points: list[tuple[Axes, str, float, float, str]] = []
        self.looks: set[Look] = set()
        self.finish: list[Callable[[], None]] = []

    def settle(self) -> None:
        """Lays the panels out, once: every form that is written then has the same layout."""
        engine = self.get_layout_engine()
        if engine is not None:
            engine.execute(self)
            self.set_layout_engine("none")
            for step in self.finish:
                step()

    def remember(self, ax: Axes, name: str, x: Numbers, y: Numbers, texts: Sequence[str]) -> None:
        """Adds hover texts, each beginning with the name, to points of the series ``name``."""
        self.points += [(ax, name, a, b, t) for a, b, t in zip(x, y, texts, strict=True)]


def width(columns: int) -> float:
    """Inches for a row of so many panels."""
    return PAGE if columns > 1 else 1.35 * COLUMN


def panels(rows: int, columns: int, height: float, width: float = PAGE) -> tuple[Drawing, Any]:
    """A drawing with a grid of panels, ``height`` inches each; axes as a (rows, columns) array."""
    canvas = Drawing(width, rows * height)
    return canvas, canvas.subplots(rows, columns, squeeze=False)


def series(
    ax: Axes,
    variant: Named,
    x: Numbers,
    y: Numbers,
    *,
    band: tuple[Numbers, Numbers] | None = None,
    texts: Sequence[str] = (),
    markers: bool = True,
    hollow: Sequence[bool] = (),
) -> None:
    """One method's line, its band (low, high) and its hover texts, one per point or none.

    ``hollow`` says for each point whether its marker is an outline, if any is.
    """
    look = variant.look
    outlined = np.array(hollow or np.zeros(len(x)), bool)
    (line,) = ax.plot(
        x, y, color=look.color, ls=look.line, marker=look.marker if markers else "",
        markeredgewidth=0, markevery=np.flatnonzero(~outlined).tolist(), label=variant.label,
    )  # fmt: skip
    tag(line, variant.label)
    if outlined.any():
        (outline,) = ax.plot(
            np.asarray(x)[outlined], np.asarray(y)[outlined], ls="", marker=look.marker,
            markerfacecolor=PAPER, markeredgecolor=look.color, markeredgewidth=0.9,
        )  # fmt: skip
        tag(outline, variant.label)
    drawing(ax).looks.add(look)
    if band is not None:
        tag(ax.fill_between(x, *band, color=look.color, alpha=0.16, linewidth=0), variant.label)
    if texts:
        drawing(ax).remember(ax, variant.label, x, y, texts)


def drawing(ax: Axes) -> Drawing:
    """The drawing that a panel belongs to."""
    figure = ax.get_figure(root=True)
    assert isinstance(figure, Drawing)
    return figure


def tag(artist: Any, name: str) -> None:
    """Marks an artist as part of a series; the SVG writer makes the id unique."""
    artist.set_gid(f"series:{slug(name)}")


def is_series(artist: Any) -> bool:
    """Whether ``tag`` marked it as part of a method's series."""
    return (artist.get_gid() or "").startswith("series:")


def legend(canvas: Drawing, axes: Iterable[Axes]) -> None:
    """One legend above all panels, each entry once, tagged for the page's script."""
    entries = entries_of(axes)
    if len(entries) > 1:
        legend_of(canvas, entries)


def entries_of(axes: Iterable[Axes]) -> dict[str, Any]:
    """Label -> the first artist of these panels that has it."""
    entries: dict[str, Any] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    return entries


def legend_of(canvas: Drawing, entries: Mapping[str, Any]) -> None:
    """A legend of these entries above all panels."""
    names = [short(label, beside=entries) for label in entries]
    entry = 0.42 + 0.053 * max(map(len, names))  # inches: a handle and the longest name
    columns = max(1, min(len(entries), int(canvas.get_figwidth() / entry)))
    canvas.set_figheight(canvas.get_figheight() + 0.16 * math.ceil(len(entries) / columns))
    box = canvas.legend(
        entries.values(), names, loc="outside upper center", ncols=columns,
        columnspacing=1.4,
    )  # fmt: skip
    for text, mark, label in zip(box.get_texts(), box.legend_handles, entries, strict=True):
        if mark is not None and is_series(entries[label]):
            text.set_gid(f"legend:{slug(label)}")
            mark.set_gid(f"legend:{slug(label)}")


def positive_y(ax: Axes) -> None:
    """Limits by the lines that are drawn, not by their bands: from 0, or logarithmic from a decade.

    An interval may be wider than all that was measured; the panel then cuts it.
    """
    low, high = drawn_range(ax)
    if high < DECADE * low:
        ax.set_ylim(0, 1.1 * high)
    else:
        ax.set_ylim(low / 1.3, high * 1.3)
        log_y(ax)


def log_from_decade(ax: Axes) -> None:
    """A logarithmic y axis where what is drawn spans a decade."""
    low, high = drawn_range(ax)
    if high >= DECADE * low:
        log_y(ax)


def drawn_range(ax: Axes) -> tuple[float, float]:
    """The smallest and the largest positive value of the lines; (1, 1) without any."""
    values = np.concatenate([[], *(np.ravel(line.get_ydata()) for line in ax.get_lines())])
    values = values[np.isfinite(values) & (values > 0)]
    return (float(values.min()), float(values.max())) if len(values) else (1.0, 1.0)


def log_y(ax: Axes) -> None:
    """A logarithmic y axis of what is drawn already: ticks at 1, 2, 5; far apart, at powers of 10.

    There are no ticks between them: fifty small ones are crowded at this height, and matplotlib
    spends more time on them than on the lines.
    """
    ax.set_yscale("log", nonpositive="mask")
    low, high = ax.get_ylim()
    within = (1.0, 2.0, 5.0) if high < 100 * low else (1.0,)
    ax.yaxis.set_major_locator(LogLocator(subs=within, numticks=9))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter("{x:g}")


def count(value: float, _: Any = None) -> str:
    """A count on an axis: 50k for 50 000."""
    return f"{value / 1000:g}k" if abs(value) >= 1000 else f"{value:g}"


def short(label: str, most: int = LONGEST, beside: Collection[str] = ()) -> str:
    """A label as figures write it: without its middle if it is long, since settings stand last.

    Where one of those ``beside`` it would be written alike, more of its beginning stays and less of
    its end, then more of both, until none is.
    """
    others = set(beside) - {label}
    for length in range(most, len(label)):
        for end in range((length - 1) // 2, 0, -1):
            name = _cut(label, length, end)
            if name not in (_cut(other, length, end) for other in others):
                return name
    return label


def _cut(label: str, most: int, end: int) -> str:
    """Its beginning and so many characters of its end, if it has more than ``most``."""
    return label if len(label) <= most else f"{label[: most - 1 - end]}…{label[-end:]}"


def slug(text: str) -> str:
    """Text as a file name or id: lower case, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"
