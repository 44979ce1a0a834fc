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
    device: Annotated[str, typer.Option(help="Whose hours: a100, h100, h200 or cpu.")] = "",
    as_json: Json = False,
) -> None:  # fmt: skip
    """What a grid would do: jobs, what is done, what it costs, what is missing."""
    from collapsebench import plan as plans
    from collapsebench.launch import devices

    chosen = choice(grid, scale, method, network, dataset, codebook_size, code_dim, seed, seeds,
                    set_, only, data_root)  # fmt: skip
    loaded, jobs = chosen.jobs()
    found = plans.plan(loaded, jobs, results, device or devices.kind(devices.gpus()), data_root)
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
    checkpoint: Annotated[str | None, how(help="How often, like 5m; else 60s.")] = None,
    until: Annotated[str | None, how(help="Start nothing after this time, like 09:00.")] = None,
    budget: Annotated[str | None, how(help="Start nothing after this long, like 8h.")] = None,
    retries: Annotated[int, how(help="Try errors and time-outs again, so often.", min=0)] = 0,
    fail_fast: Annotated[bool, how("--fail-fast", help="Stop at a first failure.")] = False,
    launcher: Annotated[str, how(help="local, slurm or ray.")] = "local",
    wait: Annotated[bool, how("--wait", help="Stay until what was queued has ended.")] = False,
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
        checkpoint=checkpoint, retries=retries, fail_fast=fail_fast, launcher=launcher, wait=wait,
        dry_run=dry_run, yes=yes, debug=debug, weights=inception_weights,
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
    limit_s: Annotated[float, typer.Option()] = 0.0,
    wait: Annotated[bool, typer.Option("--wait")] = False,
    parent: Annotated[int, typer.Option()] = 0,
    checkpoint_s: Annotated[float, typer.Option()] = 60.0,
) -> None:
    """Run what one job is missing; what launchers start."""
    from collapsebench.launch import work

    order = work.Order(folder, tuple(stages.split(",")), threads, launcher, launcher_job,
                       limit_s, wait, parent, checkpoint_s)  # fmt: skip
    raise SystemExit(work.main(order))


GridFound = Annotated[
    str | None, typer.Option("--grid", "-g", help="Else every grid found.", rich_help_panel=WHAT)
]
JobWords = Annotated[
    list[str] | None, typer.Argument(help="Job ids, or how they begin.", metavar="JOB")
]


@app.command()
def status(
    grid: GridFound = None,
    results: Results = Path("results"),
    watch: Annotated[bool, typer.Option("--watch", help="Stay and show what changes.")] = False,
    as_json: Json = False,
) -> None:
    """Where every job of a grid stands."""
    from collapsebench import overview

    if watch:
        overview.watch(results, grid)
        return
    found = overview.status(results, grid)
    show(found) if as_json else overview.print_status(found)


@app.command()
def logs(
    job: Annotated[str, typer.Argument(help="A job id, or how it begins.")],
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Stay while it runs.")] = False,
    results: Results = Path("results"),
) -> None:
    """What one job printed."""
    from collapsebench import overview

    overview.print_log(results, job, follow)


@app.command()
def retry(
    jobs: JobWords = None,
    failed: Annotated[bool, typer.Option("--failed", help="All that failed.")] = False,
    grid: GridFound = None,
    results: Results = Path("results"),
    slots: Annotated[int | None, how("-j", help="Jobs at a time without a GPU.", min=1)] = None,
) -> None:
    """Run failed jobs again on this machine, as they were queued."""
    from collapsebench.launch import control, start

    raise SystemExit(control.retry(jobs or [], failed, grid, results, start.Options(slots=slots)))


@app.command()
def cancel(
    jobs: JobWords = None, grid: GridFound = None, results: Results = Path("results")
) -> None:
    """End jobs, running or queued; the next run starts them again."""
    from collapsebench.launch import control

    control.cancel(jobs or [], grid, results)


@app.command()
def gc(
    keep: Annotated[
        str, typer.Option(help="Of model, codebook, tokens, prior, samples, images.")
    ] = "model,codebook,tokens,images",
    grid: GridFound = None,
    results: Results = Path("results"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
) -> None:
    """Remove large files of complete jobs; never a row, a setting or a log."""
    from collapsebench import housekeeping

    print(housekeeping.gc(results, grid, tuple(filter(None, keep.split(","))), dry_run))


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
    from collapsebench import overview
    from collapsebench import report as reports

    if to == "term":
        for name in [grid] if grid else overview.grids(results):
            reports.to_terminal(name, results, baselines=baselines)
        return
    formats = to.split(",")
    build = reports.build_all if grid is None else functools.partial(reports.build, grid)
    page = build(results, out, baselines=baselines, images=not no_images, to=formats,
                 bundle=bundle, only_current=not all_)  # fmt: skip
    print(f"report: {page}")


@app.command()
def check(
    baseline: Annotated[str, typer.Option("--baseline", "-b", help="A frozen tag.")] = "ci",
    level: Annotated[
        str, typer.Option("--level", "-l", help="0 tensors, 1 trajectories, 2 rows, 3 the paper.")
    ] = "0,1,2",
    results: Results = Path("results"),
    grid: Annotated[str | None, typer.Option("--grid", "-g", help="Of level 3; else all.")] = None,
    baselines: Annotated[Path | None, typer.Option(help="Else ./baselines, then ours.")] = None,
    fail_on: Annotated[str, typer.Option(help="unsure or worse.")] = "unsure",
    as_json: Json = False,
    github: Annotated[bool, typer.Option("--github", help="Annotations for a workflow.")] = False,
    junit: Annotated[Path | None, typer.Option(help="A JUnit XML file to write.")] = None,
    badge: Annotated[Path | None, typer.Option(help="A shields.io file to write.")] = None,
) -> None:
    """Are the numbers still what they were? Exit 0 ok, 1 worse, 3 can't tell, 4 not measured."""
    from collapsebench.check import output, verdicts
    from collapsebench.check.run import Request
    from collapsebench.check.run import check as run_check

    if fail_on not in verdicts.FAIL_ON:
        raise UserError(f"--fail-on {fail_on!r} must be one of {', '.join(verdicts.FAIL_ON)}")
    found = run_check(numbers("--level", level), Request(baseline, results, grid, baselines))
    show(output.as_dict(found, fail_on)) if as_json else print(output.text(found))
    if github and (annotations := output.github(found)):
        print(annotations)
    if junit is not None:
        output.junit(found, junit)
    if badge is not None:
        output.badge(found, badge)
    raise SystemExit(verdicts.exit_code(found, fail_on))


@app.command()
def compare(
    a: Annotated[str, typer.Argument(help="A frozen tag or a results folder.")],
    b: Annotated[str, typer.Argument(help="Another.")],
    baselines: Annotated[Path | None, typer.Option(help="Else ./baselines, then ours.")] = None,
    as_json: Json = False,
) -> None:
    """Two sets of rows, cell by cell: difference, interval, adjusted p."""
    from collapsebench import compare as comparison

    lines = comparison.compare(a, b, baselines)
    show([asdict(line) for line in lines]) if as_json else print(comparison.text(lines, a, b))


@app.command()
def freeze(
    tag: Annotated[str, typer.Argument(help="The baseline's name.")] = "",
    grid: Annotated[str, typer.Option("--grid", "-g", help="Else the one named as the tag.")] = "",
    results: Results = Path("results"),
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to.")] = Path("baselines"),
    trajectories: Annotated[
        bool, typer.Option("--trajectories", help="Record levels 0 and 1 anew.")
    ] = False,
) -> None:
    """Keep a grid's rows as a baseline that later runs are held against."""
    from collapsebench import freeze as freezer

    if not tag and not trajectories:
        raise UserError("say what: freeze TAG, or: freeze --trajectories")
    paths = freezer.trajectories(out) if trajectories else []
    paths += [freezer.freeze(tag, grid or tag, results, out)] if tag else []
    for path in paths:
        print(f"frozen: {path}")


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
    """Decode a dataset once, so that jobs start in seconds; or fetch the Inception weights."""
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
