"""``collapsebench doctor``: what this installation and this folder have, and what is wrong."""

from __future__ import annotations

import platform
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path

from collapsebench import __version__, extras
from collapsebench.cli.data import in_short
from collapsebench.datasets import data_root
from collapsebench.launch import devices
from collapsebench.plan import registry
from collapsebench.results import provenance, status, tables
from collapsebench.settings import Data, UserError, printable

LOW_DISK_GB = 5.0
AGAIN = "the collapsebench run of its grid again: it writes anew what is damaged"


@dataclass(frozen=True)
class Line:
    """One line of the check-up.

    Attributes:
        level: "ok", "note" (something is not there) or "wrong".
        fix: the command that mends it, "" where nothing has to be or none does.
    """

    level: str
    subject: str
    text: str
    fix: str = ""


def findings(results: Path, root: Path | None) -> list[Line]:
    """Everything that is looked at, in order."""
    return [
        *installation(),
        *machine(results),
        *datasets(data_root(root)),
        weights(),
        *rows(results),
        *jobs(results),
    ]


def installation() -> list[Line]:
    """Versions of this package and of those that numbers depend on."""
    versions = provenance.installed()
    there = [f"{name} {number}" for name, number in versions.items() if number != "missing"]
    lacking = [name for name, number in versions.items() if number == "missing"]
    here = f"collapsebench {__version__}, Python {platform.python_version()}, {', '.join(there)}"
    if not lacking:
        return [Line("ok", "installation", here)]
    level = "note" if "torch" in lacking else "wrong"  # what trains is there as a whole or not
    return [Line(level, "installation", f"{here}; to train:", extras.install("torch"))]


def machine(results: Path) -> list[Line]:
    """Processor, GPUs and free disk space."""
    gpus = devices.gpus()
    accelerator = f"{len(gpus)} GPU(s)" if gpus else "no GPU: the paper's grids need one"
    place = next(p for p in (results.resolve(), *results.resolve().parents) if p.exists())
    free = shutil.disk_usage(place).free / 1e9
    full = free < LOW_DISK_GB
    return [
        Line("ok", "processor", f"{provenance.cores()} cores, {provenance.processor()}"),
        Line("ok" if gpus else "note", "accelerator", accelerator),
        Line(
            "wrong" if full else "ok",
            "disk",
            f"{free:.0f} GB free at {place}",
            "collapsebench gc --dry-run" * full,
        ),
    ]


def datasets(root: Path) -> list[Line]:
    """Which datasets are ready; ``folder`` needs a path and is left out."""
    found = []
    for name in registry.names("datasets"):
        if name == "folder":
            continue
        from collapsebench.plan.registry import dataset

        chosen = dataset(name)
        line = chosen.missing(Data(), root) or ""
        found.append(
            Line("note", f"data {name}", in_short(line), chosen.remedy)
            if line
            else Line("ok", f"data {name}", "ready")
        )
    return found


def weights() -> Line:
    """Whether FID can be measured here."""
    try:
        extras.require("torch")
    except UserError:
        return Line("note", "inception", "needs torch", extras.install("torch"))
    from collapsebench.fidelity import load_extractor

    try:
        extractor = load_extractor("inception-v3-compat")
    except UserError as error:
        return Line(
            "note", "inception", in_short(str(error)), "collapsebench data prepare inception"
        )
    return Line("ok", "inception", f"verified weights at {extractor.weights}")


def rows(results: Path) -> list[Line]:
    """Rows per table, and each file that cannot be read."""
    found = []
    for table in tables.SCHEMAS:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            count = len(tables.read(results, table))
        found.append(Line("ok", f"rows {table}", str(count)))
        found += [Line("wrong", f"rows {table}", str(w.message), AGAIN) for w in caught]
    return found


def jobs(results: Path) -> list[Line]:
    """Jobs that wait for somebody: errors, and grids that are not complete or cannot be read."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = status.status(results, None)
        except UserError as error:
            nothing, _, command = str(error).partition("; start with: ")
            return [Line("note", "jobs", nothing, command)]
    counts: dict[str, int] = {}
    for job in found:
        counts[job["status"]] = counts.get(job["status"], 0) + 1
    text = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    bad = {"error", "timeout", "out_of_memory"} & set(counts)
    damaged = [Line("wrong", "grids", str(warning.message), AGAIN) for warning in caught]
    fix = "collapsebench retry --failed" if bad else ""
    return [Line("wrong" if bad else "ok", "jobs", text, fix), *damaged]


def print_findings(found: list[Line]) -> int:
    """Prints them for a person; the exit code is 1 if something is wrong."""
    width = max(len(f.subject) for f in found)
    for f in found:
        print(f"{f.level:<5}  {f.subject:<{width}}  {printable(f.text)}")
        if f.fix:
            print(f"{'':{5 + 2 + width}}  fix: {f.fix}")
    return 1 if any(f.level == "wrong" for f in found) else 0
