"""``python -m tests.stats``: the tables of error rates in docs/checks.md; some minutes."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import numpy as np

from collapsebench.stats.orders import MOVES, STANDS
from collapsebench.stats.words import CANT_TELL
from tests.stats.error_rates import (
    ALIKE,
    EQUAL,
    HALF,
    OURS,
    TESTS,
    UNLIKE,
    Setting,
    called_best,
    called_worse,
    said,
    seen,
    told,
    worst,
)

SEEDS = ((2, 2), (3, 3), (5, 5), (10, 10), (2, 10), (3, 10), (5, 10))
RATIOS = (1, 2, 4)
CHANGES = (4, 8)  # in SDs
SEERS = ("pooled, moderated", "Welch, smaller df", OURS)


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; its first column is text."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def percents(rates: Iterable[float]) -> list[str]:
    """Shares as numbers of percent."""
    return [f"{100 * rate:.1f}" for rate in rates]


def alarms() -> str:
    """False alarms of a comparison, in percent, where they are most frequent."""
    rng, rows = np.random.default_rng(0), []
    for (a, b), ratio in itertools.product(SEEDS, RATIOS):
        rows.append([f"{a} and {b}, 1:{ratio}", *percents(worst((a, b), ratio, rng).values())])
    return markdown(["seeds, spreads", *TESTS], rows)


def power() -> str:
    """How often a change of one cell is seen, in percent."""
    rng, rows = np.random.default_rng(1), []
    for (a, b), cells in itertools.product(SEEDS[1:4] + SEEDS[5:], (1, 6, 18)):
        places = [Setting((a, b), cells=cells, change=change) for change in CHANGES]
        rates = [seen(TESTS[name], place, rng) for name in SEERS for place in places]
        rows.append([f"{a} and {b}, {cells}", *percents(rates)])
    heads = [f"{name}: {change} SD" for name in SEERS for change in CHANGES]
    return markdown(["seeds, cells", *heads], rows)


def columns() -> str:
    """Errors of bold and of plain among six methods, and of how many it can be told, in percent."""
    rng, rows = np.random.default_rng(2), []
    for seeds, (name, sd) in itertools.product((3, 5, 10), (("1:1", ALIKE), ("1:4", UNLIKE))):
        rates = (
            called_worse(seeds, sd, rng),
            called_best(seeds, sd, rng),
            told(seeds, sd, EQUAL, rng),
            told(seeds, sd, HALF, rng),
        )
        rows.append([f"{seeds}, {name}", *percents(rates)])
    heads = ["an equal one plain", "one at the margin bold", "told of equal ones", "told of halves"]
    return markdown(["seeds, spreads", *heads], rows)


def words_of_orders() -> str:
    """What is said of the order of six methods that did not change, in percent."""
    rng, rows, words = np.random.default_rng(3), [], (STANDS, CANT_TELL, MOVES)
    for seeds, steps in itertools.product((2, 3, 5), (0.0, 0.5, 1.0, 2.0)):
        rates = said(seeds, steps, rng)
        rows.append([f"{seeds}, {steps:g} SD", *percents(rates[word] for word in words)])
    return markdown(["seeds, between neighbours", *words], rows)


if __name__ == "__main__":
    for table in (alarms, power, columns, words_of_orders):
        print(table(), end="\n\n", flush=True)
