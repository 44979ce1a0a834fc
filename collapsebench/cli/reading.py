"""Commands that read rows, or anybody's tokens."""

from __future__ import annotations

import functools
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from collapsebench.cli.app import app
from collapsebench.cli.options import Json, Results, numbers, show
from collapsebench.settings import UserError

FILES = "html,figures,md,csv,latex"  # what a report is written as


@app.command()
def report(
    grid: Annotated[str | None, typer.Option("--grid", "-g", help="Else every grid found.")] = None,
    results: Results = Path("results"),
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to.")] = Path("reports"),
    baselines: Annotated[Path | None, typer.Option(help="Else ./baselines, then ours.")] = None,
    to: Annotated[
        list[str] | None, typer.Option(help=f"{FILES}, which is the default, or term.")
    ] = None,
    no_images: Annotated[bool, typer.Option("--no-images", help="A smaller page.")] = False,
    bundle: Annotated[bool, typer.Option("--bundle", help="Everything to pass on.")] = False,
    all_: Annotated[bool, typer.Option("--all", help="Older versions of user files too.")] = False,
) -> None:  # fmt: skip
    """Tables 1–4, the sweeps and a page, from the rows alone."""
    from collapsebench import report as reports

    formats = ",".join(to or [FILES]).split(",")
    if written := [word for word in formats if word != "term"]:
        build = reports.build_all if grid is None else functools.partial(reports.build, grid)
        page = build(results, out, baselines=baselines, images=not no_images, to=written,
                     bundle=bundle, only_current=not all_)  # fmt: skip
        print(f"report: {page}")
    if "term" in formats:
        for name in [grid] if grid else reports.found_grids(results):
            reports.to_terminal(name, results, baselines=baselines)


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
    found = run_check(numbers("--level", [level]), Request(baseline, results, grid, baselines))
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
    a: Annotated[str, typer.Argument(help="A frozen tag, a results folder, or NAME=VALUE.")],
    b: Annotated[str, typer.Argument(help="Another, of the same kind.")],
    results: Annotated[
        str, typer.Option("--results", "-r", help="Where NAME=VALUE chooses: a tag or a folder.")
    ] = "results",
    baselines: Annotated[Path | None, typer.Option(help="Else ./baselines, then ours.")] = None,
    as_json: Json = False,
) -> None:
    """Two sets of rows, cell by cell: difference, interval, adjusted p.

    Two tags, two folders, or two settings: collapsebench compare method=edvae method=dvae -r demo
    """
    from collapsebench.check import compare as comparison

    lines = comparison.compare(a, b, baselines, results=results)
    show([asdict(line) for line in lines]) if as_json else print(comparison.text(lines, a, b))


@app.command()
def order(
    sides: Annotated[
        list[str], typer.Argument(help="Two or more: tags, results folders, or NAME=VALUE.")
    ],
    results: Annotated[
        str, typer.Option("--results", "-r", help="Where NAME=VALUE chooses: a tag or a folder.")
    ] = "results",
    baselines: Annotated[Path | None, typer.Option(help="Else ./baselines, then ours.")] = None,
    as_json: Json = False,
) -> None:
    """Does the order of the methods here stand there? Kendall's tau from each side to the next.

    collapsebench order codebook_size=64 codebook_size=256 -r demo
    """
    from collapsebench.check import order as orders

    found = orders.compare(sides, results, baselines)
    show([orders.as_dict(one) for one in found]) if as_json else print(orders.text(found))


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
    from collapsebench.check import freeze as freezer

    if not tag and not trajectories:
        raise UserError("say what: freeze TAG, or: freeze --trajectories")
    paths = freezer.trajectories(out) if trajectories else []
    paths += [freezer.freeze(tag, grid or tag, results, out)] if tag else []
    for path in paths:
        print(f"frozen: {path}")


@app.command()
def inspect(
    tokens: Path,
    codebook_size: Annotated[
        list[str] | None,
        typer.Option("--codebook-size", "-K", help="Of each codebook if they differ: 1024,64."),
    ] = None,
    codebook: Annotated[Path | None, typer.Option(help="A file with the codes (K, D).")] = None,
    codebooks: Annotated[
        int | None, typer.Option(help="Q of residual tokens (N, …, Q).", min=1)
    ] = None,
    axis: Annotated[
        int | None, typer.Option(help="That of the codebooks; 0 for tokens (Q, N, T).")
    ] = None,
    ignore: Annotated[int | None, typer.Option(help="A token that is padding, like -1.")] = None,
    images: Annotated[
        tuple[Path, Path] | None, typer.Option(help="Folders: originals, reconstructions.")
    ] = None,
    to: Annotated[list[str] | None, typer.Option(help="html,json or term, the default.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o")] = Path("inspection"),
) -> None:
    """Did a codebook collapse, where and how? Any tokenizer's tokens, nothing trained."""
    from collapsebench import inspect

    forms = inspect.forms(",".join(to or ["term"]))
    sizes = numbers("--codebook-size", codebook_size)
    found = inspect.inspect(tokens, sizes or None, codebook, codebooks, axis, ignore, images)
    written = inspect.write(found, forms, out)
    print(found.summary, *written, sep="\n")


@app.command()
def diagnose(
    history: Annotated[Path, typer.Argument(help="The file of a CodebookMonitor(out=...).")],
    watch: Annotated[bool, typer.Option("--watch", help="Stay and show what changes.")] = False,
    baselines: Annotated[Path | None, typer.Option(help="Else ./baselines, then ours.")] = None,
    as_json: Json = False,
) -> None:
    """Why does a codebook collapse, and what did the remedies do where they were measured?"""
    from collapsebench.inspect import diagnosis

    if watch and as_json:
        raise UserError("--watch is for a person: leave --json out")
    if watch:
        diagnosis.watch(history, baselines)
        return
    found = diagnosis.diagnose(history, baselines)
    show([one.as_dict() for one in found]) if as_json else print(diagnosis.text(found))


@app.command()
def export(
    table: Annotated[str, typer.Argument(help="runs, metrics, protocols, curves or codes.")] = "",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help=".csv, .parquet or .json; or a folder.")
    ] = None,
    results: Results = Path("results"),
    to: Annotated[str, typer.Option(help="every-eval-ever or croissant, of all rows.")] = "",
    by: Annotated[str, typer.Option(help="Who publishes them, with --to.")] = "unknown",
    license_: Annotated[str, typer.Option("--license", help="Of --to croissant, like MIT.")] = "",
) -> None:
    """All rows of one table in one file, or all rows in a form that others read."""
    from collapsebench import export as forms
    from collapsebench.cli.status import export as write

    if bool(table) == bool(to):
        raise UserError("say one: export TABLE -o FILE, or: export --to FORM")
    if to:
        print(forms.export(results, to, out, by, license_))
    elif out is None:
        raise UserError(f"say where to: export {table} -o {table}.csv")
    else:
        print(f"{write(results, table, out)} rows in {out}")
