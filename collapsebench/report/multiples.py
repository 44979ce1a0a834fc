"""Panels of lines, one a method: all in one panel, or a panel for each group when they are many.

A few methods share a panel under one legend. Many would cover each other: each group then has a
panel of its own, with the others grey behind it, and a line is named where it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.text import Annotation

from collapsebench.report import kinds, style
from collapsebench.report.figures import Figure
from collapsebench.report.style import Drawing

HEIGHT = 1.5  # inches of a group's panel
NAME_SIZE = 6.5  # points
NAME_STEP = 1.2 * NAME_SIZE  # points between two names
SIGN = (10.0, 22.0)  # points right of the panel between which a name's piece of line lies
NAME = 25.0  # points right of the panel where it begins
DOTS = (0, (1, 3))


class Method(kinds.Member, style.Named, Protocol):
    """Whatever has a line: a printed name, a look and a group."""


Drawn = TypeVar("Drawn", bound=Method)
Column = TypeVar("Column")


@dataclass(frozen=True)
class Panel:
    """What a panel shows, of whichever methods.

    Attributes:
        line: draws one method's line, if it has one here.
        dress: sets scales and limits, and draws what is no method's, when the lines are there.
        ends: whether lines end at different heights, so that they can be named there; if not,
            their names stand beside the panel in the order of the lines.
    """

    title: str
    xlabel: str
    ylabel: str
    line: Callable[[Axes, Any], None]
    dress: Callable[[Axes], None]
    ends: bool = True


def figures(
    name: str, title: str, caption: str, columns: Sequence[Column], methods: Sequence[Drawn],
    forms: Mapping[str, Callable[[Column], list[Panel]]], height: float,
) -> list[Figure]:  # fmt: skip
    """One figure, or one for each column where methods are many; none without methods.

    Args:
        name: of the figure; numbered where there are several.
        title: printed above it.
        caption: printed below it.
        columns: what stands side by side, a dataset each.
        methods: whose lines are drawn.
        forms: name of a form -> the panels of a column in it, from top to bottom.
        height: of a panel, in inches.
    """
    if not methods:
        return []
    apart = len(methods) > kinds.MOST and len(columns) > 1
    found = []
    for i, own in enumerate([[column] for column in columns] if apart else [columns]):
        panels = {form: [panels(column) for column in own] for form, panels in forms.items()}
        drawings = {form: draw(shown, methods, height) for form, shown in panels.items()}
        words = f"{title}, {next(iter(panels.values()))[0][0].title}" if apart else title
        found.append(Figure(f"{name}-{i + 1}" if apart else name, words, caption, drawings))
    return found


def draw(columns: Sequence[Sequence[Panel]], methods: Sequence[Drawn], height: float) -> Drawing:
    """Columns of panels, ``height`` inches each; of many methods a single column, by groups."""
    groups = kinds.panels(methods)
    if len(groups) == 1:
        return _together(columns, methods, height)
    return _apart(columns[0], groups)


def _together(
    columns: Sequence[Sequence[Panel]], methods: Sequence[Drawn], height: float
) -> Drawing:
    rows = len(columns[0])
    drawing, axes = style.panels(rows, len(columns), height, style.width(len(columns)))
    for i, j in np.ndindex(axes.shape):
        panel, ax = columns[j][i], axes[i, j]
        for method in methods:
            panel.line(ax, method)
        panel.dress(ax)
        ax.set_title(panel.title if i == 0 else "")
        ax.set_ylabel(panel.ylabel if j == 0 else "")
        _below(ax, panel, i == rows - 1)
    style.legend(drawing, axes.flat)
    return drawing


def _below(ax: Axes, panel: Panel, lowest: bool) -> None:
    ax.set_xlabel(panel.xlabel if lowest else "")
    ax.tick_params(labelbottom=lowest)


def _apart(panels: Sequence[Panel], groups: dict[str, list[Drawn]]) -> Drawing:
    """A row for each group, a column for each panel; of a single panel, groups side by side."""
    columns = max(2, len(panels))
    cells = [(heading, panel) for heading in groups for panel in panels]
    drawing, axes = style.panels(-(-len(cells) // columns), columns, HEIGHT)
    for ax in axes.flat[len(cells) :]:
        ax.remove()
    for i, (ax, (heading, panel)) in enumerate(zip(axes.flat, cells, strict=False)):
        for method in groups[heading]:
            panel.line(ax, method)
        _name_cell(ax, heading, panel, i, columns if len(panels) > 1 else 1)
        _below(ax, panel, i + columns >= len(cells))
    for panel in panels:
        _finish([ax for ax, (_, own) in zip(axes.flat, cells, strict=False) if own is panel], panel)
    others = {k: v for k, v in style.entries_of(axes.flat).items() if not style.is_series(v)}
    if others:
        style.legend_of(drawing, others)
    return drawing


def _name_cell(ax: Axes, heading: str, panel: Panel, i: int, columns: int) -> None:
    """The group beside its row and the quantity above its column; of one quantity, the reverse."""
    if columns == 1:
        ax.set_title(heading)
        ax.set_ylabel(panel.ylabel)
        return
    ax.set_title(panel.ylabel if i < columns else "")
    ax.set_ylabel(heading if i % columns == 0 else "", size=NAME_SIZE, weight="bold")


def _finish(axes: Sequence[Axes], panel: Panel) -> None:
    """Limits by a group's own lines, those of the others grey behind them, and names.

    A method far off, or a floor, would else press all the others together. Along x, where only the
    lowest panels have numbers, all have the same.
    """
    lines = {ax: list(_lines(ax)) for ax in axes}
    labels = [str(line.get_label()) for own in lines.values() for line in own]
    for ax in axes:
        panel.dress(ax)
        ax.set_ylim(ax.get_ylim())
    lefts, rights = zip(*(ax.get_xlim() for ax in axes), strict=True)
    for ax in axes:
        ax.set_xlim(min(lefts), max(rights))
        for other in axes:
            for line in lines[other] if other is not ax else ():
                ax.plot(*line.get_data(), color=style.GHOST, lw=0.7, zorder=1)
        _name_lines(ax, lines[ax], panel.ends, labels)


def _lines(ax: Axes) -> Iterator[Line2D]:
    """The methods' main lines, without their seeds and outlines."""
    for line in ax.get_lines():
        if style.is_series(line) and not str(line.get_label()).startswith("_"):
            yield line


def _name_lines(ax: Axes, lines: Sequence[Line2D], ends: bool, labels: Sequence[str]) -> None:
    """Names right of the panel, each told apart from all ``labels``.

    How high they stand is known when the panels have their places.
    """
    names = []
    for line in lines:
        label = str(line.get_label())
        name = ax.annotate(
            style.short(label, beside=labels),
            (1, 0.5), (NAME, 0), "axes fraction", "offset points", size=NAME_SIZE, va="center",
        )  # fmt: skip
        name.set_gid(f"legend:{style.slug(label)}")
        names.append(name)
    place = _name_ends if ends else _name_levels
    style.drawing(ax).finish.append(lambda: place(ax, lines, names))


def _name_ends(ax: Axes, lines: Sequence[Line2D], names: Sequence[Annotation]) -> None:
    """Each name as high as its line's rightmost point, or near it, and led there by dots.

    A thin line would look measured, of a line that ends before the panel does.
    """
    ends = [max(_seen(ax, line), key=lambda place: place[0]) for line in lines]
    heights = spread(np.array([y for _, y in ends]), _share(ax, NAME_STEP, ax.bbox.height))
    for line, name, (x, y), height in zip(lines, names, ends, heights, strict=True):
        way = [x, 1 + _share(ax, SIGN[0], ax.bbox.width)], [y, height]
        _add(ax, line, *way, lw=0.5, ls=DOTS)
        _sign(ax, line, name, height)


def _name_levels(ax: Axes, lines: Sequence[Line2D], names: Sequence[Annotation]) -> None:
    """Names in the order of the lines' mean heights, as a list."""
    levels = [np.mean([y for _, y in _seen(ax, line)]) for line in lines]
    middle = 0.5 + 1e-6 * np.argsort(np.argsort(levels))
    heights = spread(middle, _share(ax, NAME_STEP, ax.bbox.height))
    for line, name, height in zip(lines, names, heights, strict=True):
        _sign(ax, line, name, height)


def _sign(ax: Axes, line: Line2D, name: Annotation, height: float) -> None:
    """A piece of the line with its marker, before its name."""
    left, right = (1 + _share(ax, points, ax.bbox.width) for points in SIGN)
    _add(ax, line, [left, right], [height, height], lw=line.get_linewidth(),
         ls=line.get_linestyle())  # fmt: skip
    _add(ax, line, [(left + right) / 2], [height], marker=line.get_marker(), mew=0)
    name.xy = (1, height)


def _add(ax: Axes, line: Line2D, x: list[float], y: list[float], **looks: Any) -> None:
    part = Line2D(x, y, transform=ax.transAxes, color=line.get_color(), clip_on=False, **looks)
    part.set_label("_sign")
    style.tag(part, str(line.get_label()))
    ax.add_artist(part)


def _share(ax: Axes, points: float, pixels: float) -> float:
    """Points as a share of so many pixels."""
    return points / 72 * style.drawing(ax).dpi / pixels


def _seen(ax: Axes, line: Line2D) -> list[tuple[float, float]]:
    """The points of a line, in shares of the panel; its lower left where none can be seen."""
    places = ax.transAxes.inverted().transform(ax.transData.transform(line.get_xydata()))
    finite = places[np.isfinite(places).all(1)]
    return [(float(x), float(np.clip(y, 0, 1))) for x, y in finite] or [(0.0, 0.0)]


def spread(wanted: np.ndarray, gap: float) -> np.ndarray:
    """Places (n,) in [0, 1] at least ``gap`` apart, in the order of those wanted and near them.

    The least squares that keep the order, by pooling neighbours; from 0 upwards if there is not
    room for all.
    """
    order = np.argsort(wanted, kind="stable")
    blocks: list[tuple[float, int]] = []  # mean and size of neighbours that lie together
    for target in wanted[order] - gap * np.arange(len(wanted)):
        mean, size = float(target), 1
        while blocks and blocks[-1][0] > mean:
            before, n = blocks.pop()
            mean, size = (before * n + mean * size) / (n + size), n + size
        blocks.append((mean, size))
    free = np.repeat([mean for mean, _ in blocks], [size for _, size in blocks])
    room = max(0.0, 1 - gap * (len(wanted) - 1))
    places = np.empty(len(wanted))
    places[order] = np.clip(free, 0, room) + gap * np.arange(len(wanted))
    return places
