"""The command line: every command is one call, and imports what is heavy inside itself."""

from __future__ import annotations

import functools
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from collapsebench import __version__
from collapsebench.settings import STAGES, UserError

app = typer.Typer(
    help="Does your quantizer's codebook collapse? Train, measure, compare.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

WHAT, WHERE = "What", "Where"
how = functools.partial(typer.Option, rich_help_panel="How")

GridOption = Annotated[
    str, typer.Option("--grid", "-g", help="A shipped grid or a .toml file.", rich_help_panel=WHAT)
]
Scale = Annotated[
    str | None,
    typer.Option(help="paper, paper52k, short, demo or the grid's own.", rich_help_panel=WHAT),
]
Methods = Annotated[
    list[str] | None,
    typer.Option(
        "--method", "-m", help="Replaces the grid's methods; a name or a .py file. Repeatable.",
        rich_help_panel=WHAT,
    ),
]  # fmt: skip
Networks = Annotated[
    list[str] | None,
    typer.Option("--network", "-n", help="Replaces the networks.", rich_help_panel=WHAT),
]
Datasets = Annotated[
    list[str] | None,
    typer.Option("--dataset", "-d", help="Replaces the datasets.", rich_help_panel=WHAT),
]
Sizes = Annotated[
    str, typer.Option("--codebook-size", "-K", help="Like 256,512.", rich_help_panel=WHAT)
]
Dims = Annotated[str, typer.Option("--code-dim", "-D", help="Like 8,16.", rich_help_panel=WHAT)]
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


def main() -> None:
    """Runs the command line; bad input is one line on stderr and exit code 2."""
    try:
        app()
    except UserError as error:
        fail(str(error))


def fail(message: str) -> NoReturn:
    """Prints one line on stderr and ends with exit code 2."""
    print(f"collapsebench: {message}", file=sys.stderr)
    raise SystemExit(2)


def show(value: Any) -> None:
    """Prints JSON."""
    print(json.dumps(value, indent=1, default=str))


def choice(
    grid: str, scale: str | None, methods: list[str] | None, networks: list[str] | None,
    datasets: list[str] | None, sizes: str, dims: str, seed: list[int] | None,
    seeds: int | None, settings: list[str] | None, only: str | None, data_root: Path | None,
) -> Any:  # fmt: skip
    """The options that say what to run, as one ``plan.Choice``."""
    from collapsebench.grid import SEEDS
    from collapsebench.plan import Choice

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


def numbers(option: str, text: str) -> tuple[int, ...]:
    """``256,512`` -> (256, 512)."""
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise UserError(f"{option} {text!r} must be whole numbers, like 256,512") from None


def version(value: bool) -> None:
    """Prints the version and ends."""
    if value:
        print(__version__)
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Does your quantizer's codebook collapse? Train, measure, compare."""


@app.command("list")
def list_(as_json: Json = False) -> None:
    """What there is: methods, networks, datasets, grids."""
    from collapsebench.listing import listing, print_listing

    show(listing()) if as_json else print_listing(listing())


@app.command()
def plan(
    grid: GridOption = "tables", scale: Scale = None, method: Methods = None,
    network: Networks = None, dataset: Datasets = None, codebook_size: Sizes = "",
    code_dim: Dims = "", seed: SeedList = None, seeds: SeedCount = None, set_: Set = None,
    only: Only = None, results: Results = Path("results"), data_root: DataRoot = None,
    device: Annotated[str, typer.Option(help="Whose hours: a100 or cpu.")] = "",
    as_json: Json = False,
) -> None:  # fmt: skip
    """What a grid would do: jobs, what is done, what it costs, what is missing."""
    from collapsebench import plan as plans
    from collapsebench.launch import devices

    chosen = choice(grid, scale, method, network, dataset, codebook_size, code_dim, seed, seeds,
                    set_, only, data_root)  # fmt: skip
    loaded, jobs = chosen.jobs()
    found = plans.plan(loaded, jobs, results, device or devices.kind(), data_root)
    show(found.as_dict()) if as_json else plans.show(found)


@app.command()
def run(
    grid: GridOption = "demo", scale: Scale = None, method: Methods = None,
    network: Networks = None, dataset: Datasets = None, codebook_size: Sizes = "",
    code_dim: Dims = "", seed: SeedList = None, seeds: SeedCount = None, set_: Set = None,
    only: Only = None, results: Results = Path("results"), data_root: DataRoot = None,
    slots: Annotated[int | None, how("-j", help="Jobs at a time without a GPU.", min=1)] = None,
    gpus: Annotated[str | None, how(help="Like 0,1; '' for none. Default: all.")] = None,
    jobs_per_gpu: Annotated[int, how(help="Jobs at a time on each GPU.", min=1)] = 1,
    timeout: Annotated[str | None, how(help="Per task, like 90m or 24h.")] = None,
    until: Annotated[str | None, how(help="Start nothing after this time, like 09:00.")] = None,
    budget: Annotated[str | None, how(help="Start nothing after this long, like 8h.")] = None,
    fail_fast: Annotated[bool, how("--fail-fast", help="Stop at a first failure.")] = False,
    dry_run: Annotated[bool, how("--dry-run", help="Only the plan.")] = False,
    yes: Annotated[bool, how("-y", "--yes", help="Accept the cost.")] = False,
    debug: Annotated[bool, how("--debug", help="One process, whole tracebacks.")] = False,
    inception_weights: Annotated[
        Path | None, typer.Option(help="Inception weights file for FID.", rich_help_panel=WHERE)
    ] = None,
    allow_unverified_weights: Annotated[
        bool, typer.Option("--allow-unverified-weights", rich_help_panel=WHERE)
    ] = False,
) -> None:  # fmt: skip
    """Run what a grid is missing: train, encode, prior, sample, score."""
    from collapsebench.launch import start

    chosen = choice(grid, scale, method, network, dataset, codebook_size, code_dim, seed, seeds,
                    set_, only, data_root)  # fmt: skip
    options = start.Options(
        slots=slots, gpus=None if gpus is None else tuple(g for g in gpus.split(",") if g),
        jobs_per_gpu=jobs_per_gpu, timeout=timeout, until=until, budget=budget,
        fail_fast=fail_fast, dry_run=dry_run, yes=yes, debug=debug, weights=inception_weights,
        allow_unverified_weights=allow_unverified_weights,
    )  # fmt: skip
    raise SystemExit(start.run(chosen, results, options, sys.argv))


@app.command(hidden=True)
def job(
    folder: Path,
    stages: Annotated[str, typer.Option()] = ",".join(STAGES),
    threads: Annotated[int, typer.Option()] = 0,
    launcher: Annotated[str, typer.Option()] = "local",
    launcher_job: Annotated[str, typer.Option()] = "",
) -> None:
    """Run what one job is missing; what launchers start."""
    from collapsebench.launch import work

    raise SystemExit(work.main(folder, tuple(stages.split(",")), threads, launcher, launcher_job))


@app.command()
def status(
    grid: Annotated[str | None, typer.Option("--grid", "-g", help="Else every grid found.")] = None,
    results: Results = Path("results"),
    as_json: Json = False,
) -> None:
    """Where every job of a grid stands."""
    from collapsebench import overview

    found = overview.status(results, grid)
    show(found) if as_json else overview.print_status(found)


@app.command()
def report(
    grid: Annotated[str | None, typer.Option("--grid", "-g", help="Else every grid found.")] = None,
    results: Results = Path("results"),
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to.")] = Path("reports"),
    baselines: Annotated[Path | None, typer.Option(help="Else ./baselines, then ours.")] = None,
    to: Annotated[
        str, typer.Option(help="html,md,csv,latex or term.")
    ] = "html,md,csv,latex",
    no_images: Annotated[bool, typer.Option("--no-images", help="A smaller page.")] = False,
    bundle: Annotated[bool, typer.Option("--bundle", help="Everything to pass on.")] = False,
    all_: Annotated[bool, typer.Option("--all", help="Older versions of user files too.")] = False,
) -> None:  # fmt: skip
    """Tables 1–4, the sweeps and a page, from the rows alone."""
    from collapsebench import report as reports

    if to == "term":
        reports.to_terminal(grid, results)
        return
    formats = to.split(",")
    build = reports.build_all if grid is None else functools.partial(reports.build, grid)
    page = build(results, out, baselines=baselines, images=not no_images, to=formats,
                 bundle=bundle, only_current=not all_)  # fmt: skip
    print(f"report: {page}")


@app.command()
def inspect(
    tokens: Path,
    codebook_size: Annotated[int | None, typer.Option("--codebook-size", "-K")] = None,
    codebook: Annotated[Path | None, typer.Option(help="Codebook (K, D) as .npy.")] = None,
    codebooks: Annotated[int, typer.Option(help="Q of residual tokens (N, …, Q).", min=1)] = 1,
    images: Annotated[
        tuple[Path, Path] | None, typer.Option(help="Folders: originals, reconstructions.")
    ] = None,
    to: Annotated[str, typer.Option(help="html,term,json.")] = "term",
    out: Annotated[Path, typer.Option("--out", "-o")] = Path("inspection"),
) -> None:
    """Did a codebook collapse, where and how? Any tokenizer's tokens, nothing trained."""
    from collapsebench.report import inspection

    print(inspection.run(tokens, codebook_size, codebook, codebooks, images, to.split(","), out))


@app.command()
def export(
    table: Annotated[str, typer.Argument(help="runs, metrics, protocols, curves or codes.")],
    out: Annotated[Path, typer.Option("--out", "-o", help=".csv, .parquet or .json")],
    results: Results = Path("results"),
) -> None:
    """All rows of one table in one file."""
    from collapsebench import overview

    count = overview.export(results, table, out)
    print(f"{count} rows in {out}")


@app.command()
def doctor(results: Results = Path("results"), data_root: DataRoot = None) -> None:
    """What this installation and this folder have, and what is wrong with them."""
    from collapsebench import checkup

    raise SystemExit(checkup.print_findings(checkup.findings(results, data_root)))


@app.command("new-method")
def new_method(name: str, folder: Annotated[Path, typer.Option("--out", "-o")] = Path()) -> None:
    """Write a method file to start from; it passes test-method as it is."""
    from collapsebench import scaffold

    path = scaffold.new_method(name, folder)
    print(f"{path}: edit it, then\n  collapsebench test-method {path}")
    print(f"  collapsebench run --grid codebook_size --scale demo -m {path}")


@app.command("test-method")
def test_method(method: str) -> None:
    """Check a method file (or a shipped method) against the contract."""
    from collapsebench import scaffold

    raise SystemExit(scaffold.test_method(method))


data = typer.Typer(help="Prepare, verify and list datasets.", no_args_is_help=True)
app.add_typer(data, name="data")
Root = Annotated[
    Path | None, typer.Option("--root", "--data-root", help="Else COLLAPSEBENCH_DATA.")
]


DatasetName = Annotated[str, typer.Option("--dataset", "-d", help="Its name or .py file.")]
FolderPath = Annotated[Path | None, typer.Option(help="Where the images of `folder` are.")]


@data.command("prepare")
def data_prepare(
    what: Annotated[str, typer.Argument(help="inception: the weights for FID.")] = "",
    dataset: DatasetName = "",
    root: Root = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch what is missing.")] = False,
    path: FolderPath = None,
) -> None:
    """Decode a dataset once, so that every job starts in seconds; or fetch the Inception weights."""
    from collapsebench.datasets import _commands, data_root

    name = dataset or what
    if not name:
        raise UserError("say what: data prepare -d cifar10, or: data prepare inception")
    if name == "inception":
        from collapsebench import fidelity

        print(fidelity.download_inception(fidelity.hub_weights()))
    else:
        print(_commands.prepare(name, folder_settings(path), data_root(root), download))


@data.command("verify")
def data_verify(dataset: DatasetName, root: Root = None, path: FolderPath = None) -> None:
    """Compare the decoded arrays of a dataset with their recorded hashes."""
    from collapsebench.datasets import _commands, data_root

    print(_commands.verify(dataset, folder_settings(path), data_root(root)))


@data.command("list")
def data_list(root: Root = None, as_json: Json = False) -> None:
    """What is there, where, how large, and its hash."""
    from collapsebench.datasets import _commands, data_root

    rows = _commands.listing(folder_settings(None), data_root(root))
    show([asdict(row) for row in rows]) if as_json else _commands.print_listing(rows)


def folder_settings(path: Path | None) -> Any:
    """``data.*`` settings with a folder."""
    from collapsebench.settings import Data

    return Data(path=str(path or ""))
