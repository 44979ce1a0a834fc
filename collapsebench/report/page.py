"""One self-contained HTML page: tables and drawings of a grid, with styles and script inside."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.markers import MarkerStyle

from collapsebench import stats
from collapsebench.report import kinds, tables
from collapsebench.report.blocks import Blocks
from collapsebench.report.data import ReportData
from collapsebench.report.figures import Figure
from collapsebench.report.palette import Look
from collapsebench.report.style import LONGEST, slug
from collapsebench.report.tables import Cell, Log, Number, Part, Table, TableLine
from collapsebench.report.what_ran import what_ran

HERE = Path(__file__).parent
SCRIPT = re.compile("<(/|!--)")  # what ends a script element, or hides its end
VERDICTS = ("reproduced", "inconclusive", "differs", "not measured")
WITH_VERDICTS = ("table1", "table2", "table3")
CHIPS = {
    "reproduced": "good", stats.BETTER: "good", "differs": "bad", stats.WORSE: "bad",
    "inconclusive": "unsure", stats.CANT_TELL: "unsure",
}  # fmt: skip
TONES = {"✓": "good", "✗": "bad", "≈": "unsure"}
BESIDE = ("seeds", "borrowed", "difference", "verdict")  # printed beside the number or in its chip
STRIP = (132.0, 16.0)  # width and height of a strip of seeds
DASHES = {"--": "5 2.4", "-.": "6 2 1.6 2", ":": "1.6 2"}  # of a line in a table
HOUR = 3600.0


@dataclass(frozen=True)
class Tile:
    """One headline number."""

    value: str
    words: str
    tone: str = ""


def render(data: ReportData, blocks: Blocks, files: str = "") -> str:
    """The page of one grid.

    Args:
        data: the grid's rows.
        blocks: what is on it.
        files: the folder of its figures' files as seen from the page, "" if there are none.
    """
    return _template("page.html.j2").render(
        title=data.grid["title"], name=data.name, scale=scale_words(data), ran_words=what_ran(data),
        facts=facts(data), tiles=tiles(data, blocks), sections=blocks.sections, files=files,
        symbols={look: f"sign-{i}" for i, look in enumerate(looks(blocks))},
    )  # fmt: skip


def entry(data: ReportData) -> dict[str, Any]:
    """What the page of all grids says of one."""
    return {"name": data.name, "title": data.grid["title"], "scale": scale_words(data),
            "ran": what_ran(data), "facts": facts(data), "jobs": jobs_tile(data)}  # fmt: skip


def render_index(entries: Sequence[dict[str, Any]]) -> str:
    """The page that leads to the pages of all grids, an ``entry`` each."""
    return _template("index.html.j2").render(title="Reports", grids=entries)


def scale_words(data: ReportData) -> str:
    """The scale and what its numbers can't tell; on every page."""
    scale, note = data.grid["scale"], data.grid.get("scale_note") or ""
    named = note.lower().startswith(f"{scale} scale")
    return note if named else f"Scale: {scale}. {note}".strip()


def facts(data: ReportData) -> list[str]:
    """Grid, version, commit, devices and date in a line."""
    runs = data.runs
    words = [f"grid {data.name}"]
    for column, word in (("package_version", "collapsebench"), ("git_sha", "commit")):
        values = sorted({str(v)[:10] for v in runs[column].dropna().unique() if v})
        if values:
            words.append(f"{word} {', '.join(values)}")
    words += sorted({str(v) for v in runs["device_name"].dropna().unique() if v})
    if runs["finished_at"].notna().any():
        words.append(f"last row {runs['finished_at'].max():%Y-%m-%d %H:%M} UTC")
    return words


def tiles(data: ReportData, blocks: Blocks) -> list[Tile]:
    """Jobs, verdicts against the paper, collapsed cells, time."""
    counts = verdicts(blocks)
    tiles = [jobs_tile(data)]
    if judged := sum(counts[verdict] for verdict in VERDICTS):
        reproduced = f"{counts['reproduced']} / {judged}"
        words = "published cells of Tables 1–3 reproduced (within ±5 %)"
        tiles.append(Tile(reproduced, words, "good"))
        both = f"{counts['inconclusive']} · {counts['differs']}"
        tiles.append(Tile(both, "inconclusive · differ from the paper", "unsure"))
        tiles.append(Tile(str(counts["not measured"]), "published cells not measured"))
    collapsed = sum(group.collapsed > 0 for *_, group in data.cells())
    words = f"of {len(data.groups)} cells with a collapsed seed"
    tiles.append(Tile(str(collapsed), words, "bad" if collapsed else "good"))
    hours = float(data.runs["wall_s"].sum()) / HOUR
    time = f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.0f} min"
    return [*tiles, Tile(time, "computing time, all attempts")]


def jobs_tile(data: ReportData) -> Tile:
    """How many jobs are done, and how the others stand."""
    counts = Counter(job.status for job in data.jobs if not job.baseline)
    done, total = counts["done"], counts.total()
    rest = sorted((status, n) for status, n in counts.items() if status != "done")
    others = [f"{n} {status.replace('_', ' ')}" for status, n in rest]
    return Tile(f"{done} / {total}", "; ".join(["jobs done", *others]))


def verdicts(blocks: Blocks) -> Counter[str]:
    """How often each verdict was given in Tables 1 to 3."""
    return Counter(
        str(cell.parts["verdict"])
        for block in blocks.all()
        if isinstance(block, Table) and block.name in WITH_VERDICTS
        for row in block.rows
        for cell in row.cells
        if "verdict" in cell.parts
    )


@cache
def _template(name: str) -> Any:
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"slug": slug, "mark": _mark_of, "sign": sign}
    environment.globals |= {
        "css": _asset("page.css"), "js": _asset("page.js"), "forms": forms, "groups": groups,
        "chip": lambda verdict: CHIPS.get(str(verdict), "plain"), "kind": _kind, "parts": parts,
        "unnamed": tables.UNNAMED, "tone": tone, "longest": LONGEST,
    }  # fmt: skip
    return environment.get_template(name)


def _asset(name: str) -> Markup:
    return Markup((HERE / name).read_text(encoding="utf-8"))


def _kind(block: Any) -> str:
    return {Table: "table", Figure: "figure", Log: "log"}[type(block)]


def _mark_of(part: Any) -> Markup:
    """A part as HTML: the spread in its own element, so that it can be small."""
    if isinstance(part, Number) and part.spread is not None:
        return Markup("{} <span class=pm>± {}</span>").format(
            part.fixed(part.value, part.signed), part.fixed(part.spread)
        )
    return Markup("{}").format(str(part))


def parts(cell: Cell) -> list[tuple[str, Any]]:
    """The parts of a cell that have a line of their own below the number and its verdict."""
    rest = list(cell.parts.items())[1:]
    return [(name, part) for name, part in rest if str(part) and name not in BESIDE]


def tone(part: Part) -> str:
    """The class that colours a part with a mark, with a space before it."""
    mark = part.mark if isinstance(part, Number) else ""
    return f" {TONES[mark]}" if mark else ""


def forms(table: Table) -> dict[str, str]:
    """What the copy buttons copy: form -> text, safe inside a script element."""
    texts = {
        "LaTeX": tables.to_latex(table),
        "Markdown": tables.to_markdown(table),
        "CSV": tables.to_csv(table),
    }
    return {form: Markup(SCRIPT.sub(r"<\\\1", text)) for form, text in texts.items()}


def looks(blocks: Blocks) -> list[Look]:
    """Every look on the page, once."""
    used: set[Look] = set()
    for block in blocks.all():
        if isinstance(block, Table):
            used.update(row.look for row in block.rows if row.look)
        elif isinstance(block, Figure):
            used.update(*(drawing.looks for drawing in block.drawings.values()))
    return sorted(used, key=lambda look: (look.color, str(look.marker), look.line))


def sign(look: Look) -> Markup:
    """A short piece of the method's line with its marker, as in a legend."""
    marker = MarkerStyle(look.marker)
    outline = marker.get_path().transformed(marker.get_transform()).to_polygons()[0]
    points = " ".join(f"{7 * x:.1f},{-7 * y:.1f}" for x, y in np.asarray(outline))
    dashes = "" if look.line == "-" else f' stroke-dasharray="{DASHES[look.line]}"'
    return Markup(f'<path d="M-11 0H11"{dashes}/><polygon points="{points}"/>')


def groups(table: Table) -> list[tuple[str, list[tuple[TableLine, list[Markup]]]]]:
    """(heading, rows with their strips) of each group; one heading "" if there are none."""
    drawn = dict(zip(map(id, table.rows), strips(table), strict=True))
    return [
        (heading, [(row, drawn[id(row)]) for row in rows])
        for heading, rows in kinds.grouped(table.rows).items()
    ]


def strips(table: Table) -> list[list[Markup]]:
    """A drawing of the seeds of each cell, by row and column; one scale per column."""
    scales = [_scale(row.cells[i] for row in table.rows) for i in range(len(table.columns))]
    return [
        [
            _strip(cell, scale, f"var({row.look.variable})" if row.look else "currentColor")
            for cell, scale in zip(row.cells, scales, strict=True)
        ]
        for row in table.rows
    ]


def _scale(cells: Iterable[Cell]) -> tuple[float, float]:
    values = [value for cell in cells for value in (*cell.dots, *(cell.band or ()))]
    return (min(values), max(values)) if values else (0.0, 0.0)


def _strip(cell: Cell, scale: tuple[float, float], color: str) -> Markup:
    low, high = scale
    if not cell.dots or high <= low:
        return Markup("")
    width, height = STRIP

    def x(value: float) -> float:
        return round(6 + (width - 12) * (value - low) / (high - low), 1)

    shapes = [f'<line x1="4" x2="{width - 4:g}" y1="8" y2="8" class="axis"/>']
    if cell.band:
        left, right = x(cell.band[0]), x(cell.band[1])
        wide = max(1.5, right - left)
        shapes.append(f'<rect x="{left}" width="{wide:.1f}" y="2" height="12" class="band"/>')
    shapes += [f'<circle cx="{x(v)}" cy="8" r="3" style="fill:{color}"/>' for v in cell.dots]
    box = f'viewBox="0 0 {width:g} {height:g}" aria-hidden="true"'
    return Markup(f'<svg class="strip" {box}>{"".join(shapes)}</svg>')
