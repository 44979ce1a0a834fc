"""Commands that start work or say how it stands."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from collapsebench.cli.app import app
from collapsebench.cli.options import (
    WHERE,
    DataRoot,
    Datasets,
    Dims,
    GridFound,
    GridOption,
    JobWords,
    Json,
    Methods,
    Networks,
    Only,
    Results,
    Scale,
    SeedCount,
    SeedList,
    Set,
    Sizes,
    absolute,
    choice,
    how,
    show,
)
from collapsebench.settings import FILES


@app.command("list")
def list_(as_json: Json = False) -> None:
    """What there is: methods, networks, datasets, launchers, grids."""
    from collapsebench.cli.listing import listing, print_listing

    show(listing()) if as_json else print_listing(listing())


@app.command()
def plan(
    grid: GridOption = "demo", scale: Scale = None, method: Methods = None,
    network: Networks = None, dataset: Datasets = None, codebook_size: Sizes = None,
    code_dim: Dims = None, seed: SeedList = None, seeds: SeedCount = None, set_: Set = None,
    only: Only = None, results: Results = Path("results"), data_root: DataRoot = None,
    device: Annotated[str, typer.Option(help="Whose hours: a100, h100, h200 or cpu.")] = "",
    launcher: Annotated[str, typer.Option(help="Like slurm: node-hours of each array.")] = "",
    as_json: Json = False,
) -> None:  # fmt: skip
    """What a grid would do: jobs, what is done, what it costs, what is missing."""
    from collapsebench.launch import devices, tasks
    from collapsebench.launch import launcher as launchers
    from collapsebench.plan import forecast as plans

    chosen = choice(grid, scale, method, network, dataset, codebook_size, code_dim, seed, seeds,
                    set_, only, data_root)  # fmt: skip
    loaded, jobs = chosen.jobs()
    found = plans.plan(loaded, jobs, results, device or devices.kind(devices.gpus()), data_root)
    show(found.as_dict()) if as_json else plans.show(found)
    queue = launchers.find(launcher, results) if launcher and not as_json else None
    if queue and (text := queue.forecast(tasks.tasks(jobs, results))):
        print(text)


@app.command()
def run(
    grid: GridOption = "demo", scale: Scale = None, method: Methods = None,
    network: Networks = None, dataset: Datasets = None, codebook_size: Sizes = None,
    code_dim: Dims = None, seed: SeedList = None, seeds: SeedCount = None, set_: Set = None,
    only: Only = None, results: Results = Path("results"), data_root: DataRoot = None,
    slots: Annotated[int | None, how("-j", help="Jobs at a time, no GPU.", min=1, max=999)] = None,
    gpus: Annotated[str | None, how(help="Like 0,1; '' for none. Default: all.")] = None,
    jobs_per_gpu: Annotated[int, how(help="Jobs at a time on each GPU.", min=1, max=64)] = 1,
    timeout: Annotated[str | None, how(help="Per task, like 90m or 24h.")] = None,
    checkpoint: Annotated[str, how(help="How often, like 5m.")] = "60s",
    until: Annotated[str | None, how(help="Start nothing after this time, like 09:00.")] = None,
    budget: Annotated[str | None, how(help="Start nothing after this long, like 8h.")] = None,
    retries: Annotated[int, how(help="Of errors and time-outs, each.", min=0, max=1000)] = 0,
    fail_fast: Annotated[bool, how("--fail-fast", help="Stop at a first failure.")] = False,
    launcher: Annotated[str, how(help="Who starts jobs; `list` names them.")] = "local",
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
    from collapsebench.job.order import Order
    from collapsebench.launch import devices, limits, start
    from collapsebench.launch.launcher import Options

    chosen = choice(grid, scale, method, network, dataset, codebook_size, code_dim, seed, seeds,
                    set_, only, data_root)  # fmt: skip
    order = Order(
        limit_s=0.0 if timeout is None else limits.seconds("--timeout", timeout),
        checkpoint_s=limits.seconds("--checkpoint", checkpoint),
        data_root=absolute(data_root), weights=absolute(inception_weights),
        allow_unverified_weights=allow_unverified_weights,
    )  # fmt: skip
    options = Options(
        order=order, slots=slots,
        gpus=devices.gpus() if gpus is None else devices.chosen(gpus),
        jobs_per_gpu=jobs_per_gpu, until=limits.deadline(until, budget), retries=retries,
        fail_fast=fail_fast, launcher=launcher, wait=wait, dry_run=dry_run, yes=yes, debug=debug,
    )  # fmt: skip
    raise SystemExit(start.run(chosen, results, options, sys.argv))


@app.command("try")
def try_(
    source: Annotated[
        str,
        typer.Argument(metavar="FILE", help="Vectors (N, F) or (N, length, F), or a dataset."),
    ],
    codebook_size: Sizes = None, code_dim: Dims = None, method: Methods = None,
    network: Networks = None, seeds: SeedCount = None, set_: Set = None,
    budget: Annotated[str | None, how(help="Time for all of it, like 20m.")] = None,
    results: Results = Path("results"),
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for reports.", rich_help_panel=WHERE)
    ] = Path("reports"),
    data_root: DataRoot = None,
    slots: Annotated[int | None, how("-j", help="Jobs at a time without a GPU.", min=1)] = None,
    yes: Annotated[bool, how("-y", "--yes", help="Accept the cost.")] = False,
) -> None:  # fmt: skip
    """Which quantizer fits these data: train a dozen, test who is best, write a page."""
    from collapsebench.job.order import Order
    from collapsebench.launch import limits, trying
    from collapsebench.launch.launcher import Options

    chosen = choice("try", None, method, network, None, codebook_size, code_dim, None, seeds, set_,
                    None, data_root)  # fmt: skip
    options = Options(
        order=Order(data_root=absolute(data_root)), slots=slots,
        until=limits.deadline(None, budget), yes=yes or budget is not None,
    )  # fmt: skip
    budget_s = None if budget is None else limits.seconds("--budget", budget)
    raise SystemExit(trying.run(trying.Trial(source, chosen, budget_s, results, out), options))


@app.command(hidden=True)
def job(folder: Path) -> None:
    """Run what one job is missing, as the order.json in its folder says; what launchers start."""
    from collapsebench.job import process

    raise SystemExit(process.main(folder))


@app.command()
def status(
    grid: GridFound = None,
    results: Results = Path("results"),
    watch: Annotated[bool, typer.Option("--watch", help="Stay and show what changes.")] = False,
    as_json: Json = False,
) -> None:
    """Where every job of a grid stands."""
    from collapsebench.cli import status as said
    from collapsebench.results.status import status as states

    if watch:
        said.watch(results, grid)
        return
    found = states(results, grid)
    show(found) if as_json else said.print_status(found)


@app.command()
def logs(
    job: Annotated[str, typer.Argument(help="A job id, or how it begins.")],
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Stay while it runs.")] = False,
    results: Results = Path("results"),
) -> None:
    """What one job printed."""
    from collapsebench.cli.status import print_log

    print_log(results, job, follow)


@app.command()
def retry(
    jobs: JobWords = None,
    failed: Annotated[bool, typer.Option("--failed", help="All that failed.")] = False,
    grid: GridFound = None,
    results: Results = Path("results"),
    slots: Annotated[
        int | None, how("-j", help="Jobs at a time without a GPU.", min=1, max=999)
    ] = None,
) -> None:
    """Run failed jobs again on this machine, as they were queued."""
    from collapsebench.launch import control
    from collapsebench.launch.launcher import Options

    raise SystemExit(control.retry(jobs or [], failed, grid, results, Options(slots=slots)))


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
        str, typer.Option(help=f"Of {', '.join(FILES)}.")
    ] = "model,codebook,tokens,images",
    grid: GridFound = None,
    results: Results = Path("results"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
) -> None:
    """Remove large files of complete jobs; never a row, a setting or a log."""
    from collapsebench.results import gc

    print(gc.gc(results, grid, tuple(filter(None, keep.split(","))), dry_run))


results_ = typer.Typer(help="Look after a results folder.", no_args_is_help=True)
app.add_typer(results_, name="results")


@results_.command("compact")
def results_compact(results: Results = Path("results")) -> None:
    """Merge row files that became many into a few; every row stays."""
    from collapsebench.results import compact

    print(compact.compact(results))
