"""``python -m tests.parity.table``: quantity, official source, largest relative deviation."""

from .cases import CASES
from .recorded import Compared


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
    print(markdown([one for case in CASES.values() for one in case()]))
