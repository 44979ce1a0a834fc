"""A figure of a report: drawn once, written as PDF, PNG and as SVG for the page."""

from __future__ import annotations

import html
import io
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG

from collapsebench.report.style import COLUMN, THEME, Drawing

PNG_DPI = 200
HALF = 1.5 * COLUMN  # inches: up to here two figures stand side by side on the page


@dataclass(frozen=True)
class Figure:
    """One figure, in one form or in several between which the page switches.

    Attributes:
        name: file stem and id.
        title: as printed above it.
        caption: what is drawn, with units and the number of seeds.
        drawings: name of the form -> drawing; a single one is named "".
        ran: what was trained, with which sizes, steps and seeds; printed with the title.
    """

    name: str
    title: str
    caption: str
    drawings: dict[str, Drawing]
    ran: str = ""

    @property
    def wide(self) -> bool:
        """Whether the page gives it its full width rather than half of it."""
        return any(drawing.get_figwidth() > HALF for drawing in self.drawings.values())

    def stems(self) -> dict[str, str]:
        """Form -> file stem."""
        return {form: f"{self.name}-{form}" if form else self.name for form in self.drawings}

    def save(self, folder: Path) -> None:
        """Writes ``<stem>.pdf`` and ``<stem>.png`` of every form, the same bytes each time.

        The canvases are called directly: ``savefig`` draws everything twice, for a layout that
        is settled here.
        """
        folder.mkdir(parents=True, exist_ok=True)
        for form, stem in self.stems().items():
            drawing = self.drawings[form]
            drawing.settle()
            pdf = FigureCanvasPdf(drawing)
            pdf.print_pdf(folder / f"{stem}.pdf", metadata={"CreationDate": None})
            drawing.set_dpi(PNG_DPI)
            drawing.patch.set_facecolor("white")
            png = FigureCanvasAgg(drawing)
            png.print_png(
                folder / f"{stem}.png",
                metadata={"Software": None},
                pil_kwargs={"compress_level": 3},
            )
            drawing.patch.set_facecolor("none")

    def svgs(self) -> dict[str, Svg]:
        """Form -> the drawing for the page."""
        return {form: to_svg(self.drawings[form], stem) for form, stem in self.stems().items()}


@dataclass(frozen=True)
class Svg:
    """Markup with ids that are unique on the page, and the values to show on hover.

    Attributes:
        markup: an ``<svg>`` element with theme colours as CSS variables.
        points: JSON, [[x, y, series, text], ...] in the coordinates of the view box.
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
    text = _unique_ids(text, name)
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


def _points(drawing: Drawing) -> str:
    """Hover values as JSON; pixels of the canvas to points of the view box, y downwards."""
    scale = 72 / drawing.dpi
    height = drawing.get_figheight() * 72
    found = []
    for ax, series, x, y, text in drawing.points:
        left, bottom = ax.transData.transform((x, y)) * scale
        found.append([round(left, 1), round(height - bottom, 1), series, html.escape(text)])
    return json.dumps(found).replace("<", "\\u003c")
