"""``python -m tests.sample``: the pages and figures of reports/sample, from frozen rows."""

import shutil
import tempfile
from pathlib import Path

import matplotlib

from collapsebench import report
from collapsebench.report.data import ReportData
from collapsebench.report.style import apply_style
from collapsebench.report.views import fig6_size, length, who_collapses

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "reports" / "sample"
PAGES = {  # file -> grid and tag of its rows
    "index.html": ("codebook_size", "demo"),
    "collapse.html": ("collapse", "cifar10_5k_cpu"),
    "cifar10_5k_short.html": ("tables", "cifar10_5k_short"),
}
TABLE = "table1.md"  # of the first page
FIGURES = {  # file -> its view, and grid and tag of its rows
    "who_collapses.png": (who_collapses, *PAGES["collapse.html"]),
    "length.png": (length, "length", "cifar10_5k_length"),
    "sizes.png": (fig6_size, "collapse", "cifar10_5k_sizes"),
}


def rows(tag):
    return ROOT / "baselines" / tag


def write(folder):
    """Every file of the sample."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (grid, tag) in PAGES.items():
        with tempfile.TemporaryDirectory() as built:
            page = report.build(grid, rows(tag), Path(built), to=("html", "md"))
            shutil.copy(page, folder / name)
            if name == "index.html":
                shutil.copy(page.parent / "tables" / TABLE, folder / TABLE)
    draw(folder)


def draw(folder):
    """The figures of README and findings, as files for web pages."""
    for name, (view, grid, tag) in FIGURES.items():
        with matplotlib.rc_context(), tempfile.TemporaryDirectory() as drawn:
            apply_style()
            (figure,) = view.build(ReportData(grid, rows(tag)))
            figure.save(Path(drawn))
            first, *_ = figure.stems().values()
            shutil.copy(Path(drawn) / f"{first}.png", folder / name)


if __name__ == "__main__":
    write(FOLDER)
    print(f"written: {FOLDER.relative_to(ROOT)}")
