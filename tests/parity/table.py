"""``python -m tests.parity.table > docs/parity.md``: how far each quantity is from the official."""

from .cases import CASES
from .recorded import Compared

PAGE = """# Parity with the official code

Arrays recorded from running the official implementations, with every random draw beside its
outputs, lie in `tests/parity/arrays`; the tests ask for equal tokens, and for 1e-4 of each element
or a millionth of the largest (entropy terms at their official temperature: twenty millionths).
The table shows the largest absolute difference relative to the largest official magnitude, over
training and evaluation and over successive steps. It is written by

    python -m tests.parity.table > docs/parity.md
"""


def markdown(compared: list[Compared]) -> str:
    """One row per subject and quantity; modes, updates and steps of a sequence are one row."""
    groups: dict[tuple[str, str, str], list[Compared]] = {}
    for one in compared:
        where, _, quantity = one.quantity.partition(": ")
        subject, _, _ = where.partition(",")
        groups.setdefault((subject, one.source, quantity), []).append(one)
    lines = ["| quantity | official source | largest relative deviation |", "|---|---|---|"]
    for (subject, source, quantity), rows in groups.items():
        worst = max(row.deviation for row in rows)
        lines.append(f"| {subject}: {quantity} | {source} | {worst:.1e} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(PAGE)
    print(markdown([one for case in CASES.values() for one in case()]))
