"""A figure of a report: drawn once, written as PDF, PNG and as SVG for the page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf

from collapsebench.report.style import COLUMN, Drawing
from collapsebench.report.svg import Svg, to_svg

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
