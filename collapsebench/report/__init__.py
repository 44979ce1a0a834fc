"""Rows -> tables, figures and one self-contained page per grid; never loads torch."""

from __future__ import annotations

import contextlib
import gc
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib
from rich.text import Text

from collapsebench.report import bundle as bundles
from collapsebench.report import page, sections, tables
from collapsebench.report.blocks import Blocks, collect
from collapsebench.report.data import ReportData
from collapsebench.report.figures import Figure
from collapsebench.report.style import apply_style
from collapsebench.report.tables import Table
from collapsebench.results import grids
from collapsebench.results.disk import write_text
from collapsebench.settings import UserError, console, did_you_mean

FORMATS = {"md": tables.to_markdown, "csv": tables.to_csv, "latex": tables.to_latex}
SUFFIXES = {"md": "md", "csv": "csv", "latex": "tex"}
ALL = ("html", "figures", *FORMATS)
FIGURES = "figures"  # their folder, beside the page


def build(
    grid: str,
    results: Path,
    out: Path,
    *,
    baselines: Path | None = None,
    images: bool = True,
    to: Sequence[str] = ALL,
    bundle: bool = False,
    only_current: bool = True,
) -> Path:
    """Writes ``out/<grid>/``: index.html, tables/, figures/; returns the page, or the folder.

    Args:
        grid: name of a grid that was run in ``results``.
        results: folder of rows and jobs.
        out: folder for reports.
        baselines: folder of published and frozen numbers; None looks in ./baselines, then in ours.
        images: whether reconstructions and samples are shown.
        to: which of "html", "figures" (PDF, PNG), "md", "csv", "latex" to write; a page leads to
            its figures' files where they are written with it.
        bundle: also write bundle.zip: rows as one parquet file, tables, protocols, references.
        only_current: leave out rows of earlier versions of a method's file or settings.

    Raises:
        UserError: a grid that was not run here or whose record is damaged, or an unknown format.
    """
    with _no_collection():
        data = ReportData(grid, results, baselines, only_current)
        return _write(data, out / grid, images, to, bundle)


def _write(data: ReportData, folder: Path, images: bool, to: Sequence[str], bundle: bool) -> Path:
    for word in to:
        if word not in ALL:
            raise UserError(f"unknown format {word!r}{did_you_mean(word, (*ALL, 'term'))}")
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # an emoji in somebody's label
        folder.mkdir(parents=True, exist_ok=True)
        apply_style()
        blocks = collect(data, without=() if images else sections.PICTURES)
        if "figures" in to:
            _write_figures(blocks, folder / FIGURES)
        _write_tables(blocks, folder / "tables", to)
        index = folder / "index.html"
        if "html" in to:
            files = FIGURES if "figures" in to else ""
            write_text(index, page.render(data, blocks, files))
    if bundle:
        bundles.write(data, blocks, folder / "bundle.zip")
    return index if "html" in to else folder


def build_all(
    results: Path,
    out: Path,
    *,
    baselines: Path | None = None,
    images: bool = True,
    to: Sequence[str] = ALL,
    bundle: bool = False,
    only_current: bool = True,
) -> Path:
    """A report of every grid found, and ``out/index.html`` that leads to their pages.

    Returns its path, or ``out`` where no pages are written.

    Raises:
        UserError: no grid was run in ``results``, or as ``build``.
    """
    entries = []
    for name in found_grids(results):
        with _no_collection():
            data = ReportData(name, results, baselines, only_current)
            _write(data, out / name, images, to, bundle)
            entries.append(page.entry(data))
    if "html" not in to:
        return out
    index = out / "index.html"
    write_text(index, page.render_index(entries))
    return index


def found_grids(results: Path) -> list[str]:
    """Names of the grids that were run in ``results``.

    Raises:
        UserError: there is none.

    Warns:
        UserWarning: for each grid that is left out because its record is damaged.
    """
    if records := grids.every(results):
        return [record["name"] for record in records]
    raise UserError(f"nothing to report: no grid was run in {results}")


def to_terminal(grid: str, results: Path, *, baselines: Path | None = None) -> None:
    """Prints a grid's tables but those that the page folds; the scale's note comes first.

    Raises:
        UserError: a grid that was not run here, or whose record is damaged.
    """
    data = ReportData(grid, results, baselines)
    screen = console()
    screen.print(Text.assemble((data.grid["title"], "bold"), f"  {page.scale_words(data)}"))
    for block in collect(data, only=sections.IN_TERMINAL).all():
        if isinstance(block, Table) and not block.folded:
            screen.print(tables.to_terminal(block))
            for note in (*block.notes, *block.todo):
                screen.print(note, style="dim")
            screen.print()


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Rows are many small objects and none is garbage: looking for it takes a tenth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _write_figures(blocks: Blocks, folder: Path) -> None:
    for block in blocks.all():
        if isinstance(block, Figure):
            block.save(folder)


def _write_tables(blocks: Blocks, folder: Path, to: Sequence[str]) -> None:
    wanted = [word for word in FORMATS if word in to]
    if wanted:
        folder.mkdir(parents=True, exist_ok=True)
    for block in blocks.all():
        if isinstance(block, Table):
            for word in wanted:
                write_text(folder / f"{block.name}.{SUFFIXES[word]}", FORMATS[word](block))


__all__ = ["build", "build_all", "found_grids", "to_terminal"]
