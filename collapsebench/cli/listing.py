"""Names to choose from, found without importing any of them."""

from __future__ import annotations

from collapsebench.plan import grid, registry

Kinds = dict[str, list[dict[str, str]]]


def listing() -> Kinds:
    """Kind -> names with one line each; nothing is imported."""
    found: Kinds = {}
    for kind in registry.KINDS:
        entries = [registry.find(kind, name) for name in registry.names(kind)]
        found[kind] = [
            {"name": e.name, "role": e.role, "about": after_colon(e.summary)} for e in entries
        ]
    found["grids"] = [
        {"name": name, "role": loaded.scale, "about": loaded.title}
        for name in grid.names()
        if (loaded := grid.load(name))
    ]
    return found


def print_listing(found: Kinds) -> None:
    """Prints a listing for a person."""
    for kind, rows in found.items():
        print(f"{kind}:")
        width = max(len(row["name"]) for row in rows)
        for row in rows:
            print(f"  {row['name']:<{width}}  {row['about']}")


def after_colon(summary: str) -> str:
    """The clause that says the idea, without the name before it."""
    return summary.partition(": ")[2] or summary
