"""A table in as many parts, one below another, as a narrow terminal needs to cut no name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.table import Table as RichTable
from rich.text import Text

BESIDE = 3  # characters of a column beside its text: a line and two blanks
UNBROKEN = 16  # characters of a value that stay on one line

Justify = Literal["left", "right"]


@dataclass(frozen=True)
class Parted:
    """What rich prints: rows of texts, the first ``labels`` of which are repeated in each part.

    Attributes:
        head: headings, as many as a row has texts.
        sections: rows that a line is drawn above.
    """

    title: str
    caption: str
    head: Sequence[str]
    labels: int
    rows: Sequence[Sequence[Text]]
    sections: frozenset[int]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RichTable]:
        """The parts for a terminal of this width: the title above, the caption below them."""
        parts = list(self.parts(options.max_width))
        for i, columns in enumerate(parts):
            title, caption = i == 0, i == len(parts) - 1
            yield self.table(columns, options.max_width, self.title * title, self.caption * caption)

    def parts(self, width: int) -> Iterator[list[int]]:
        """Columns of each part: the labels, then at least one value and as many as there is room.

        Args:
            width: of the terminal, in characters.
        """
        labels = list(range(self.labels))
        own = [*labels]
        for column in range(self.labels, len(self.head)):
            if len(own) > self.labels and self.least([*own, column]) > width:
                yield own
                own = [*labels]
            own.append(column)
        yield own

    def least(self, columns: Sequence[int]) -> int:
        """Characters that a part takes at least."""
        return 1 + sum(self.widths(column)[0] + BESIDE for column in columns)

    def widths(self, column: int) -> tuple[int, int]:
        """The least and the natural width of a column; between words a text may be broken."""
        texts = [self.head[column], *(row[column].plain for row in self.rows)]
        words = [text.split() or [""] for text in texts]
        whole = [text for text in texts[1:] if column >= self.labels and cell_len(text) <= UNBROKEN]
        least = max(cell_len(part) for part in (*whole, *(word for each in words for word in each)))
        return least, max(map(cell_len, texts))

    def table(self, columns: Sequence[int], width: int, title: str, caption: str) -> RichTable:
        """One part; room that is left goes to columns whose texts are longer, from the left."""
        shown = RichTable(title=title or None, caption=caption or None, title_justify="left",
                          caption_justify="left", header_style="bold")  # fmt: skip
        room = max(0, width - self.least(columns))
        for column in columns:
            least, natural = self.widths(column)
            given = min(room, natural - least)
            room -= given
            justify: Justify = "left" if column < self.labels else "right"
            shown.add_column(self.head[column], justify=justify, width=least + given,
                             overflow="fold")  # fmt: skip
        for i, row in enumerate(self.rows):
            if i in self.sections:
                shown.add_section()
            shown.add_row(*(row[column] for column in columns))
        return shown
