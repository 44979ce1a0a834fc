"""One table object, the same digits in every form."""

import csv
import io
import re

import pytest
from rich.cells import cell_len
from rich.console import Console

from collapsebench.report.tables import (
    Cell,
    Number,
    Table,
    TableLine,
    latex,
    plain,
    to_csv,
    to_latex,
    to_markdown,
    to_terminal,
)

TALL = Table(
    "t", "Title", "Caption.", "method", ["A", "B"],
    [
        TableLine("m_1", [
            Cell({"measured": Number(412.666, 2.05), "paper": Number(-1.5)}, bold=True),
            Cell({"measured": "diverged", "note": "collapsed in 1/3"}),
        ]),
    ],
    across="dataset", notes=["Bold & best"],
)  # fmt: skip
WIDE = Table(
    "w",
    "Wide",
    "Caption.",
    "method",
    ["A", "B"],
    [TableLine("x", [plain(Number(3, None, 0)), plain("–")])],
)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (Number(412.666, 2.054), "412.67 ± 2.05"),
        (Number(-0.004, decimals=2), "0.00"),
        (Number(-0.3, decimals=1, signed=True), "−0.3"),
        (Number(0.3, decimals=1, signed=True), "+0.3"),
        (Number(float("nan")), "not finite"),
        (Number(float("inf")), "∞"),
    ],
)
def test_a_number_prints_its_decimals(number, text):
    assert str(number) == text


def test_csv_gives_the_spread_its_own_column():
    rows = list(csv.reader(io.StringIO(to_csv(TALL))))
    assert rows[0] == ["dataset", "method", "measured", "measured spread", "paper", "note"]
    assert rows[1] == ["A", "m_1", "412.67", "2.05", "-1.50", ""]
    assert rows[2] == ["B", "m_1", "diverged", "", "", "collapsed in 1/3"]


def test_a_table_of_single_parts_stays_wide():
    assert to_csv(WIDE) == "method,A,B\nx,3,–\n"
    assert "| x | 3 | – |" in to_markdown(WIDE)


def test_markdown_marks_the_best_and_keeps_the_notes():
    text = to_markdown(TALL)
    assert "| A | m_1 | **412.67 ± 2.05** | −1.50 |  |" in text
    assert text.endswith("- Bold & best\n")


def test_latex_escapes_and_uses_booktabs():
    text = to_latex(TALL)
    assert r"m\_1 & \textbf{412.67 $\pm$ 2.05} \newline {\tiny paper $-$1.50}" in text
    assert r"Bold \& best" in text
    assert [text.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 1, 1]
    assert latex("a_b % {c} 10³") == r"a\_b \% \{c\} 10$^3$"


def test_the_terminal_shows_the_same_digits():
    console = Console(width=160, file=io.StringIO())
    console.print(to_terminal(TALL))
    assert re.search(r"A\s+│ m_1\s+│ 412.67 ± 2.05 │ −1.50", console.file.getvalue())


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_terminal_of_any_width_truncates_no_name(width):
    names = ["VQ-VAE-EMA", "vector_quantize_pytorch:VQ", "量子化"]
    heads = ["relative, %", "quantizer, 1000 parameters", "MSE × 10³", "notes", "-m"]
    cells = [
        [plain(text) for text in ("≈ 11.6", "0.5", "10.69 ± 7.84", "collapsed in 1/1", name)]
        for name in names
    ]
    rows = [TableLine(name, own) for name, own in zip(names, cells, strict=True)]
    console = Console(width=width, file=io.StringIO())
    console.print(to_terminal(Table("wide", "Wide", "Means.", "method", heads, rows)))
    printed = console.file.getvalue()
    lines = printed.splitlines()
    assert max(map(cell_len, lines)) <= width
    parts = sum(line.startswith("┏") for line in lines)
    assert parts == {60: 4, 80: 2, 200: 1}[width]
    assert "…" not in printed
    for name in names:  # once in each part, and as its -m
        assert printed.count(name) == parts + 1
    assert printed.count("10.69 ± 7.84") == 3
    assert (printed.count("Wide"), printed.count("Means.")) == (1, 1)
