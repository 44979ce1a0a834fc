"""A drawing as SVG for the page: with the page's colours, and no longer than it must be.

matplotlib writes six decimals of a point, and the line of every method again in each panel where
it is grey. Here a line is the steps from its first point, in hundredths of a point, and what is
drawn again elsewhere refers to the first.
"""

from __future__ import annotations

import io
import itertools
import json
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG

from collapsebench.report.style import THEME, Drawing

DECIMALS = 2  # of a coordinate in points: 1/50 of a pixel on the page
COMMAND = re.compile(r"([MLQCz])([^MLQCz]*)")
ZERO = re.compile(r"^(-?)0(?=\.)|^-0$")
NUMBER = r"(-?[\d.]+)"
LINE = re.compile(  # long enough for a reference
    rf'<path d="M{NUMBER} ?{NUMBER}(l[l\d. -]{{80,}})" (clip-path="[^"]+") (style="[^"]+")/>'
)


@dataclass(frozen=True)
class Svg:
    """Markup with ids that are unique on the page, and the values to show on hover.

    Attributes:
        markup: an ``<svg>`` element with theme colours as CSS variables.
        points: JSON, [[series, [[x, y, what follows the name], ...]], ...] in the coordinates of
            the view box.
    """

    markup: str
    points: str = field(default="[]")


def to_svg(drawing: Drawing, name: str) -> Svg:
    """The drawing as inline SVG; ``name`` prefixes every id."""
    drawing.settle()
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name}):
        FigureCanvasSVG(drawing).print_svg(buffer, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = _once(_short(_unique_ids(text, name)), name)
    own = {look.color.lower(): f"var({look.variable})" for look in drawing.looks}
    for color, variable in (THEME | own).items():
        text = text.replace(color, variable)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    return Svg(text, _points(drawing))


def _unique_ids(text: str, name: str) -> str:
    """Prefixes ids and their references; series and legend tags become ``data-`` attributes."""
    text = re.sub(r'id="(series|legend):([a-z0-9-]+)"', r'data-\1="\2"', text)
    text = re.sub(r'id="([^"]+)"', rf'id="{name}.\1"', text)
    return re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{name}.", text)


def _short(text: str) -> str:
    """Without comments and indentation, and with as many digits as can be seen."""
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r">\s+<", "><", text)
    text = re.sub(r' d="([^"]+)"', lambda found: f' d="{_path(found[1])}"', text)
    return re.sub(r' style="[^"]+"', lambda found: re.sub(r"([:;]) ", r"\1", found[0]), text)


def _path(data: str) -> str:
    """A path of which each straight piece is a step from the point before, not a place.

    Steps are differences of rounded distances from where the path begins: errors do not add up,
    and a line is the same text wherever it stands.
    """
    parts: list[str] = []
    begin = before = (0.0, 0.0)
    for command, numbers in COMMAND.findall(data):
        places = [float(number) for number in numbers.split()]
        if command == "M":
            begin = places[0], places[1]
        x, y = places[-2:] or begin
        at = round(x - begin[0], DECIMALS), round(y - begin[1], DECIMALS)
        step = command == "L"
        values = (at[0] - before[0], at[1] - before[1]) if step else places
        parts.append(("l" if step else command) + _numbers(values))
        before = at
    return "".join(parts)


def _numbers(values: Sequence[float]) -> str:
    """Numbers as a path has them: no zero before a point, no space before a sign."""
    texts = (f"{value:.{DECIMALS}f}".rstrip("0").rstrip(".") for value in values)
    return " ".join(ZERO.sub(r"\1", text) or "0" for text in texts).replace(" -", "-")


def _once(text: str, name: str) -> str:
    """Lines of one shape and style, a method's in every panel, written out only the first time."""
    places: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for x, y, shape, _, look in LINE.findall(text):
        places[shape, look].append((float(x), float(y)))
    ids = {key: f"{name}.line{i}" for i, key in enumerate(places) if len(places[key]) > 1}
    seen: set[str] = set()

    def written(found: re.Match[str]) -> str:
        x, y, shape, clip, look = found.groups()
        if (id := ids.get((shape, look))) is None:
            return found[0]
        if id in seen:
            left, top = places[shape, look][0]
            shift = f'x="{float(x) - left:.{DECIMALS}f}" y="{float(y) - top:.{DECIMALS}f}"'
            return f'<g {clip}><use xlink:href="#{id}" {shift}/></g>'
        seen.add(id)
        return f'<g {clip}><path id="{id}" d="M{x} {y}{shape}" {look}/></g>'

    return LINE.sub(written, text)


def _points(drawing: Drawing) -> str:
    """Hover values as JSON; pixels of the canvas to points of the view box, y downwards."""
    scale = 72 / drawing.dpi
    height = drawing.get_figheight() * 72
    runs = []
    for series, values in itertools.groupby(drawing.points, key=lambda point: point[1]):
        run = []
        for ax, _, x, y, text in values:
            left, bottom = ax.transData.transform((x, y)) * scale
            run.append([round(left, 1), round(height - bottom, 1), text.removeprefix(series)])
        runs.append([series, run])
    return json.dumps(runs, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
