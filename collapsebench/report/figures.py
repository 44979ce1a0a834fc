"""A figure of a report: drawn once, written as PDF, PNG and as SVG for the page."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf

from collapsebench.report.style import COLUMN, Drawing
from collapsebench.report.svg import Svg, to_svg
from collapsebench.results.disk import replace_atomically

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
            replace_atomically(folder / f"{stem}.pdf", partial(_pdf, drawing), Path.stat)
            drawing.set_dpi(PNG_DPI)
            drawing.patch.set_facecolor("white")
            replace_atomically(folder / f"{stem}.png", partial(_png, drawing), Path.stat)
            drawing.patch.set_facecolor("none")

    def svgs(self) -> dict[str, Svg]:
        """Form -> the drawing for the page."""
        return {form: to_svg(self.drawings[form], stem) for form, stem in self.stems().items()}


def _pdf(drawing: Drawing, path: Path) -> None:
    FigureCanvasPdf(drawing).print_pdf(path, metadata={"CreationDate": None})


def _png(drawing: Drawing, path: Path) -> None:
    canvas = FigureCanvasAgg(drawing)
    canvas.print_png(path, metadata={"Software": None}, pil_kwargs={"compress_level": 3})
