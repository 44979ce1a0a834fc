"""Commands for what must be there first: an installation, a method file, data."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from collapsebench.cli.app import app
from collapsebench.cli.options import DataRoot, Json, Results, show
from collapsebench.settings import UserError


@app.command()
def doctor(results: Results = Path("results"), data_root: DataRoot = None) -> None:
    """What this installation and this folder have, and what is wrong with them."""
    from collapsebench.cli import doctor

    raise SystemExit(doctor.print_findings(doctor.findings(results, data_root)))


@app.command("new-method")
def new_method(name: str, folder: Annotated[Path, typer.Option("--out", "-o")] = Path()) -> None:
    """Write a method file to start from; it passes test-method as it is."""
    from collapsebench.author import scaffold

    path = scaffold.new_method(name, folder)
    print(f"{path}: edit it, then\n  collapsebench test-method {path}")
    print(f"  collapsebench run --grid codebook_size --scale demo --seeds 3 -m {path}")


@app.command("test-method")
def test_method(method: str) -> None:
    """Check a method file (or a shipped method) against the contract."""
    from collapsebench.author import scaffold

    raise SystemExit(scaffold.test_method(method))


@app.command()
def lint(
    subject: Annotated[
        str, typer.Argument(help="package.module:Class, a .py file (or FILE.py:Class), a method.")
    ],
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Like dim=16 or codebook_size=64.")
    ] = None,
    layout: Annotated[str, typer.Option(help="bnd, bdn, bdhw or nd; else found by trying.")] = "",
    outputs: Annotated[
        str, typer.Option(help="Like vectors=0,tokens=2.1,loss=1,decoder=NAME; else found.")
    ] = "",
    as_json: Json = False,
    github: Annotated[bool, typer.Option("--github", help="Annotations for a workflow.")] = False,
) -> None:
    """Collapse, or a bug? Exit 0 no fault, 1 a fault, 3 not enough could be judged."""
    from collapsebench.author.lint import isolated
    from collapsebench.author.lint.request import LintRequest, parse_outputs, parse_settings

    named = parse_outputs(outputs)
    found = isolated.lint(LintRequest(subject, parse_settings(set_ or ()), layout, named))
    show(found.as_dict()) if as_json else print(found)
    if github and (annotations := found.github()):
        print(annotations)
    raise SystemExit(found.exit_code)


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
    from collapsebench.cli import data
    from collapsebench.datasets import data_root

    name = dataset or what
    if not name:
        raise UserError("say what: data prepare -d cifar10, or: data prepare inception")
    if name == "inception":
        from collapsebench import fidelity

        print(fidelity.download_inception(fidelity.hub_weights()))
    else:
        settings, place = folder_settings(path), data_root(root)
        folder = data.prepare(name, settings, place, download)
        print(*data.description(name, settings, place), folder, sep="\n")


@data.command("verify")
def data_verify(dataset: DatasetName, root: Root = None, path: FolderPath = None) -> None:
    """Compare the decoded arrays of a dataset with their recorded hashes."""
    from collapsebench.cli import data
    from collapsebench.datasets import data_root

    print(data.verify(dataset, folder_settings(path), data_root(root)))


@data.command("list")
def data_list(root: Root = None, as_json: Json = False) -> None:
    """What is there, where, how large, and its hash."""
    from collapsebench.cli import data
    from collapsebench.datasets import data_root

    rows = data.listing(folder_settings(None), data_root(root))
    show([asdict(row) for row in rows]) if as_json else data.print_listing(rows)


def folder_settings(path: Path | None) -> Any:
    """``data.*`` settings with a folder."""
    from collapsebench.settings import Data

    return Data(path=str(path or ""))
