"""One table object, printed as HTML, LaTeX (booktabs), Markdown, CSV or to a terminal.

Every number is a ``Number`` that knows its decimals, so that all forms print the same digits.
"""

from __future__ import annotations

import csv
import io
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rich.text import Text

from collapsebench.report import kinds
from collapsebench.report.palette import Look
from collapsebench.report.terminal import Parted

LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "±": r"$\pm$", "−": "$-$", "×": r"$\times$", "↑": r"$\uparrow$", "↓": r"$\downarrow$",
    "≥": r"$\geq$", "≤": r"$\leq$", "·": r"$\cdot$", "–": "--", "…": r"\ldots{}", "β": r"$\beta$",
    "³": "$^3$", "ρ": r"$\rho$", "Δ": r"$\Delta$", "∞": r"$\infty$", "’": "'", "→": r"$\to$",
    "\u00a0": "~", "\u200b": "{}", "√": r"$\surd$", "✓": r"$\surd$",
    "✗": r"$\times$", "≈": r"$\approx$",
}  # fmt: skip
PARTS = (
    "measured", "seeds", "borrowed", "code dimension", "pooled", "of reconstructions",
    "difference of both", "paper", "difference", "verdict", "note", "devices",
)  # fmt: skip
LATEX_WIDE = 4  # columns from which a table is set small and across the page


@dataclass(frozen=True)
class Number:
    """A value, its spread if it has one, and the digits that every form prints.

    Attributes:
        spread: sample SD or half-width; the caption says which.
        signed: a plus sign before positive values, for differences.
        mark: what is printed before it, to be read with it.
    """

    value: float
    spread: float | None = None
    decimals: int = 2
    signed: bool = False
    mark: str = ""

    def __str__(self) -> str:
        text = f"{self.mark}\u00a0" * bool(self.mark) + self.fixed(self.value, self.signed)
        return text if self.spread is None else f"{text} ± {self.fixed(self.spread)}"

    def fixed(self, value: float, signed: bool = False) -> str:
        """The value with this number's decimals, a true minus sign, no minus before a zero."""
        if not math.isfinite(value):
            return "∞" if value == math.inf else "not finite"
        value = round(value, self.decimals) + 0.0
        return f"{value:{'+' if signed else ''}.{self.decimals}f}".replace("-", "−")


Part = Number | str


@dataclass(frozen=True)
class Cell:
    """What stands at one place: named parts in the order in which they are printed.

    Attributes:
        parts: name -> number or words; the first is the cell's main content.
        bold: the best of its column, or shown to be as good.
        mark: a sign before the first part: ≈ where it can't be told from the best.
        dots: the seeds, in the units of the first part, for the strip of the page.
        band: the published mean minus and plus one SD, behind the dots.
        hover: further words for the page.
    """

    parts: Mapping[str, Part] = field(default_factory=dict)
    bold: bool = False
    mark: str = ""
    dots: tuple[float, ...] = ()
    band: tuple[float, float] | None = None
    hover: str = ""

    @property
    def main(self) -> Part:
        """The first part."""
        return next(iter(self.parts.values()), "")

    @property
    def marked(self) -> str:
        """The first part in words, behind its mark."""
        return f"{self.mark} {self.main}" if self.mark else str(self.main)

    @property
    def sort(self) -> float | str:
        """What the page sorts by."""
        return self.main.value if isinstance(self.main, Number) else self.main


def plain(part: Part) -> Cell:
    """A cell of one nameless part."""
    return Cell({"": part})


@dataclass(frozen=True)
class TableLine:
    """One line of a table: its label, its look if it stands for a method, and its cells."""

    label: str
    cells: Sequence[Cell]
    look: Look | None = None
    kind: str = ""


@dataclass(frozen=True)
class Table:
    """A table, ready to be printed in any form.

    Attributes:
        name: file stem and id.
        title: printed above it.
        caption: what the numbers are, with units, spread and number of seeds.
        corner: heading of the row labels, "method".
        across: what the columns are, "dataset"; used where a form lists cells one by one.
        columns: headings.
        notes: lines below it.
        todo: what is not complete, and the commands that complete it.
        ranked: whether the page lets the reader sort by a column.
        ran: what was trained, with which sizes, steps and seeds; printed with the title.
        folded: whether the page shows it on demand only.
    """

    name: str
    title: str
    caption: str
    corner: str
    columns: Sequence[str]
    rows: Sequence[TableLine]
    across: str = ""
    notes: Sequence[str] = ()
    todo: Sequence[str] = ()
    ranked: bool = True
    ran: str = ""
    folded: bool = False

    @property
    def text(self) -> str:
        """What ran, and the caption."""
        return f"{self.ran}. {self.caption}" if self.ran else self.caption

    @property
    def tall(self) -> bool:
        """Whether a cell has several parts, so that text forms give each cell a line."""
        return any(len(cell.parts) > 1 for row in self.rows for cell in row.cells)

    def part_names(self) -> list[str]:
        """Names of all parts: the common ones in their order, others as they come."""
        names = list(
            dict.fromkeys(n for row in self.rows for cell in row.cells for n in cell.parts)
        )
        return sorted(names, key=lambda name: PARTS.index(name) if name in PARTS else -1)

    def flat(self) -> Iterator[tuple[list[str], list[Part], list[Cell]]]:
        """(labels, values, cells) of every printed line; ``head`` names labels and values.

        The first values are the main parts of the cells.
        """
        if not self.tall:
            for row in self.rows:
                yield [row.label], [cell.main for cell in row.cells], list(row.cells)
            return
        names = self.part_names()
        for column, heading in enumerate(self.columns):
            for row in self.rows:
                cell = row.cells[column]
                yield [heading, row.label], [cell.parts.get(n, "") for n in names], [cell]

    def head(self) -> tuple[list[str], list[str]]:
        """Headings of ``flat``: of the labels, of the values."""
        if self.tall:
            return [self.across or "column", self.corner], self.part_names()
        return [self.corner], list(self.columns)


def to_csv(table: Table) -> str:
    """Comma-separated values; a number with a spread fills two columns."""
    labels, values = table.head()
    lines = list(table.flat())
    spread = [
        any(isinstance(part, Number) and part.spread is not None for part in column)
        for column in zip(*(parts for _, parts, _ in lines), strict=True)
    ]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    heads = [
        [name, f"{name} spread"] if s else [name] for name, s in zip(values, spread, strict=True)
    ]
    writer.writerow([*labels, *itertools.chain(*heads)])
    for names, parts, _ in lines:
        cells = [_csv_cell(part, s) for part, s in zip(parts, spread, strict=True)]
        writer.writerow([*names, *itertools.chain(*cells)])
    return buffer.getvalue()


def _csv_cell(part: Part, spread: bool) -> list[str]:
    if not isinstance(part, Number):
        return [part, ""] if spread else [part]
    texts = [part.fixed(part.value)]
    if spread:
        texts.append("" if part.spread is None else part.fixed(part.spread))
    return [text.replace("−", "-") for text in texts]


def to_markdown(table: Table) -> str:
    """A Markdown table with its title, caption and notes."""
    labels, values = table.head()
    head = [*labels, *values]
    rule = ["---"] * len(labels) + ["---:"] * len(values)
    lines = [head, rule]
    for names, parts, cells in table.flat():
        texts = [_markdown(str(part)) for part in parts]
        for i, cell in enumerate(cells):
            if cell.bold or cell.mark:
                texts[i] = f"**{cell.marked}**" if cell.bold else cell.marked
        lines.append([*map(_markdown, names), *texts])
    body = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    notes = "".join(f"\n- {note}" for note in (*table.notes, *table.todo))
    return f"**{table.title}.** {table.text}\n\n{body}\n{notes}\n"


def _markdown(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def to_latex(table: Table) -> str:
    """A ``table`` environment with booktabs rules; every cell's further parts in small print."""
    star = "*" if table.tall or len(table.columns) >= LATEX_WIDE else ""
    width = max(0.04, 0.8 / max(1, len(table.columns)))
    column = f">{{\\raggedright\\arraybackslash}}p{{{width:.3f}\\linewidth}}"
    columns = f"l*{{{len(table.columns)}}}{{{column}}}"
    title = table.title.partition(" · ")[2] if table.title.startswith("Table ") else table.title
    lines = [
        "% needs \\usepackage{booktabs,array}",
        *(f"% {todo}" for todo in table.todo),
        f"\\begin{{table{star}}}",
        "\\centering",
        "\\footnotesize",
        "\\setlength{\\tabcolsep}{3pt}",
        f"\\caption{{{latex(title)}. {latex(table.text)}}}",
        f"\\label{{tab:{table.name}}}",
        f"\\begin{{tabular}}{{{columns}}}",
        "\\toprule",
        " & ".join(map(latex, [table.corner, *table.columns])) + r" \\",
    ]
    end = r" \\[3pt]" if table.tall else r" \\"
    for heading, rows in kinds.grouped(table.rows).items():
        lines.append("\\midrule")
        if heading:
            lines.append(
                f"\\multicolumn{{{len(table.columns) + 1}}}{{l}}{{{latex(heading)}}}" + end
            )
        for row in rows:
            lines += [" & ".join([latex(row.label), *map(_latex_cell, row.cells)]) + end]
    lines += ["\\bottomrule", "\\end{tabular}"]
    notes = " ".join(map(latex, table.notes))
    lines += [f"\n\\smallskip\\raggedright\\scriptsize {notes}"] if notes else []
    return "\n".join([*lines, f"\\end{{table{star}}}", ""])


UNNAMED = ("verdict", "note", "code dimension")  # parts that speak for themselves in small print


def _latex_cell(cell: Cell) -> str:
    main = latex(cell.marked)
    rest = [(name, str(part)) for name, part in list(cell.parts.items())[1:] if str(part)]
    small = "; ".join(latex(text if name in UNNAMED else f"{name} {text}") for name, text in rest)
    main = f"\\textbf{{{main}}}" if cell.bold else main
    return f"{main} \\newline {{\\tiny {small}}}" if small else main


def latex(text: str) -> str:
    """Text with LaTeX's special characters escaped."""
    text = text.replace("--", "-\u200b-")  # else the two would become one dash
    return "".join(LATEX.get(character, character) for character in text)


def to_terminal(table: Table) -> Parted:
    """For rich to print: one line per cell where cells have several parts."""
    labels, values = table.head()
    rows, sections, last = list[list[Text]](), set[int](), ""
    for names, parts, cells in table.flat():
        if table.tall and last not in ("", names[0]):
            sections.add(len(rows))
        last = names[0]
        texts = [Text(str(part)) for part in parts]
        for i, cell in enumerate(cells):
            if cell.bold or cell.mark:
                texts[i] = Text(cell.marked, "bold" if cell.bold else "")
        rows.append([*map(Text, names), *texts])
    head = [*labels, *values]
    return Parted(table.title, table.text, head, len(labels), rows, frozenset(sections))


@dataclass(frozen=True)
class Log:
    """Verbatim text that the page shows on demand."""

    name: str
    title: str
    text: str
