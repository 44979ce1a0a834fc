"""Options that several commands share, and what they mean."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from collapsebench.settings import UserError, shown

if TYPE_CHECKING:
    from collapsebench.plan.registry import Kind

WHAT, WHERE = "What", "Where"
how = functools.partial(typer.Option, rich_help_panel="How")


def completion(kind: Kind) -> Callable[[str], list[str]]:
    """What a shell shows: the names of a kind of plug-in that begin as typed."""

    def names(incomplete: str) -> list[str]:
        from collapsebench.plan import registry

        return [name for name in registry.names(kind) if name.startswith(incomplete)]

    return names


def shipped_grids(incomplete: str) -> list[str]:
    """Shipped grids whose names begin as typed."""
    from collapsebench.plan import grid

    return [name for name in grid.names() if name.startswith(incomplete)]


def found_grids(incomplete: str) -> list[str]:
    """Grids that were run in the results folder of here, whose names begin as typed."""
    from collapsebench.results import grids

    return [name for name in grids.names(Path("results")) if name.startswith(incomplete)]


GridOption = Annotated[
    str,
    typer.Option("--grid", "-g", help="A shipped grid or a .toml file.", rich_help_panel=WHAT,
                 autocompletion=shipped_grids),
]  # fmt: skip
Scale = Annotated[
    str | None,
    typer.Option(help="paper, paper52k, short, demo or the grid's own.", rich_help_panel=WHAT),
]
Methods = Annotated[
    list[str] | None,
    typer.Option(
        "--method", "-m", help="Replaces the grid's: a name, FILE.py or package.module:Class.",
        rich_help_panel=WHAT, autocompletion=completion("methods"),
    ),
]  # fmt: skip
Networks = Annotated[
    list[str] | None,
    typer.Option("--network", "-n", help="Replaces the networks.", rich_help_panel=WHAT,
                 autocompletion=completion("networks")),
]  # fmt: skip
Datasets = Annotated[
    list[str] | None,
    typer.Option("--dataset", "-d", help="Replaces the datasets.", rich_help_panel=WHAT,
                 autocompletion=completion("datasets")),
]  # fmt: skip
Sizes = Annotated[
    list[str] | None,
    typer.Option("--codebook-size", "-K", help="Like 256,512.", rich_help_panel=WHAT),
]
Dims = Annotated[
    list[str] | None, typer.Option("--code-dim", "-D", help="Like 8,16.", rich_help_panel=WHAT)
]
SeedList = Annotated[
    list[int] | None, typer.Option("--seed", "-s", help="Repeatable.", rich_help_panel=WHAT)
]
SeedCount = Annotated[
    int | None,
    typer.Option(
        "--seeds", help="How many: the paper's 42, 1773, 1, then 2, 3, …", min=1, max=12,
        rich_help_panel=WHAT,
    ),
]  # fmt: skip
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Like train.steps=1000 or method.beta=1e-6.", rich_help_panel=WHAT),
]
Only = Annotated[
    str | None,
    typer.Option(help='Like "codebook_size>=1024 and method!=dvae".', rich_help_panel=WHAT),
]
Results = Annotated[
    Path, typer.Option("--results", "-r", help="Results folder.", rich_help_panel=WHERE)
]
DataRoot = Annotated[
    Path | None,
    typer.Option(
        "--data-root", help="Where datasets lie; else COLLAPSEBENCH_DATA.", rich_help_panel=WHERE
    ),
]
Json = Annotated[bool, typer.Option("--json", help="For scripts.")]


GridFound = Annotated[
    str | None,
    typer.Option("--grid", "-g", help="Else every grid found.", rich_help_panel=WHAT,
                 autocompletion=found_grids),
]  # fmt: skip
JobWords = Annotated[
    list[str] | None, typer.Argument(help="Job ids, or how they begin.", metavar="JOB")
]


def show(value: Any) -> None:
    """Prints a value as JSON, for scripts."""
    print(json.dumps(value, indent=1, default=str))


def choice(
    grid: str, scale: str | None, methods: list[str] | None, networks: list[str] | None,
    datasets: list[str] | None, sizes: list[str] | None, dims: list[str] | None,
    seed: list[int] | None, seeds: int | None, settings: list[str] | None, only: str | None,
    data_root: Path | None,
) -> Any:  # fmt: skip
    """The options that say what to run, as one ``plan.Choice``."""
    from collapsebench.plan.forecast import Choice
    from collapsebench.plan.grid import SEEDS

    return Choice(
        grid=grid,
        scale=scale,
        methods=tuple(methods or ()),
        networks=tuple(networks or ()),
        datasets=tuple(datasets or ()),
        codebook_sizes=numbers("--codebook-size", sizes),
        code_dims=numbers("--code-dim", dims),
        seeds=tuple(seed) if seed else SEEDS[: seeds or 0],
        set=tuple(settings or ()),
        only=only,
        data_root=data_root,
    )


def absolute(path: Path | None) -> Path | None:
    """A path that holds in any working directory."""
    return None if path is None else path.expanduser().resolve()


def numbers(option: str, words: list[str] | None) -> tuple[int, ...]:
    """What an option said, once or several times: ``256,512`` -> (256, 512)."""
    text = ",".join(words or ())
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise UserError(f"{option} {shown(text)} must be whole numbers, like 256,512") from None
