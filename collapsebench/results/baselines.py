"""Numbers to stand beside: the published ones, and rows that this project or a user has frozen.

``baselines/`` holds ``paper.csv``, what ``check`` compares at levels 0 and 1, and one folder per
tag. A tag's folder is laid out like ``results/``, so that the store's one reader reads it, with a
``MANIFEST.json`` that says where the rows come from. New rows are matched on ``comparison_id`` and
protocol, never on job ids: those change whenever a method's implementation does.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collapsebench.results import disk, tables
from collapsebench.settings import PAPER_STEPS, UserError, did_you_mean, regular

if TYPE_CHECKING:
    import pandas as pd

PACKAGE = Path(__file__).parent.parent
MANIFEST = "MANIFEST.json"
BATCH_SIZE = 128  # appendix C
WIDTHS = {"dalle": 128, "vqvae": 128, "sqvae": 64}  # of the printed numbers, the networks' defaults

PublishedKey = tuple[str, str, int, int, str]  # method, dataset, codebook_size, code_dim, metric


@dataclass(frozen=True)
class Published:
    """One number as the paper prints it.

    Attributes:
        source: "Table 1".
        sd: population SD (ddof 0); None where the paper gives no spread.
        n_seeds: 1 where the paper does not say.
        network: the family that the paper used for the method.
        split: the split that the authors' code evaluates.
        note: what to know about the number.
    """

    source: str
    mean: float
    sd: float | None
    n_seeds: int
    network: str
    split: str
    note: str


def folders(given: Path | None = None) -> list[Path]:
    """Where baselines are looked for: the given folder, or the working one, then the package's."""
    own = (PACKAGE / "baselines", PACKAGE.parent / "baselines")  # a wheel, a checkout
    places = [given] if given else [Path("baselines"), *own]
    return [place for place in places if place.is_dir()]


def published(given: Path | None = None) -> dict[PublishedKey, Published]:
    """The paper's numbers from the first ``paper.csv`` found; empty if there is none.

    The metric is "perplexity", "mse_e3" (times 1000), "fid", "precision" or "recall", with a
    setting in brackets where the paper varies one: "perplexity[clamp=10]".
    """
    path = file("paper.csv", given)
    if path is None:
        return {}
    with path.open(newline="", encoding="utf-8") as opened:
        return dict(_published(row) for row in csv.DictReader(opened))


def _published(row: Mapping[str, str]) -> tuple[PublishedKey, Published]:
    value = Published(
        source=row["source"],
        mean=float(row["mean"]),
        sd=float(row["sd"]) if row["sd"] else None,
        n_seeds=int(row["n_seeds"] or 1),
        network=row["network"],
        split=row["split"],
        note=row["note"],
    )
    size, dim = int(row["codebook_size"]), int(row["code_dim"])
    return (row["method"], row["dataset"], size, dim, row["metric"]), value


def apart(settings: Mapping[str, Mapping[str, Any]], network: str) -> str:
    """What sets a job apart from the printed numbers' jobs as far as results go, "" if nothing.

    They had the paper's schedules, at least as many steps as the learning rate falls for, its
    batches and its networks' full width.

    Args:
        settings: the resolved settings of a job by group.
        network: its network family.
    """
    train, width = settings.get("train", {}), settings.get("network", {}).get("width")
    steps, ramp = train.get("steps", 0), train.get("ramp", PAPER_STEPS)
    found = []
    if train.get("horizon") != PAPER_STEPS or steps < ramp:
        over = f"schedules over {train.get('horizon')} of {PAPER_STEPS}"
        found.append(f"other schedule ({steps} steps, {over})")
    if (batch := train.get("batch_size", BATCH_SIZE)) != BATCH_SIZE:
        found.append(f"other batches ({batch} images)")
    if width is not None and width != WIDTHS.get(network, width):
        found.append(f"other width ({network} {width})")
    return ", ".join(found)


def file(name: str, given: Path | None = None) -> Path | None:
    """The first file of this name in a folder of baselines."""
    return next((f / name for f in folders(given) if (f / name).is_file()), None)


def tags(given: Path | None = None) -> dict[str, Path]:
    """Tag -> folder of frozen rows; a tag found first hides one of the same name."""
    found: dict[str, Path] = {}
    for folder in folders(given):
        for path in sorted(folder.iterdir()):
            if (path / "metrics").is_dir():
                found.setdefault(path.name, path)
    return found


def find(tag: str, given: Path | None = None) -> Path:
    """The folder of a tag.

    Raises:
        UserError: nobody froze such a tag.
    """
    known = tags(given)
    if tag not in known:
        raise UserError(f"no baseline {tag!r}{did_you_mean(tag, known)}")
    return known[tag]


def described(folder: Path) -> dict[str, Any]:
    """What is written down about a tag's rows.

    Raises:
        UserError: no manifest, or one that cannot be read.
    """
    try:
        found = json.loads(regular(folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"baseline {folder}: {MANIFEST} cannot be read: {error}") from None
    kinds = {"tag": str, "grid": str, "files": dict, "sensitivity": dict}
    if not isinstance(found, dict) or any(
        not isinstance(found.get(name), kind) for name, kind in kinds.items()
    ):
        raise UserError(f"baseline {folder}: {MANIFEST} cannot be read: it is none of this program")
    return found


def manifest(folder: Path) -> dict[str, Any]:
    """What is written down about a tag's rows, after their files were compared with it.

    Raises:
        UserError: no manifest, an unreadable one, or a file that is not the one it describes.
    """
    found = described(folder)
    for name, expected in found["files"].items():
        path = folder / name
        if not path.is_file() or disk.sha256(path) != expected:
            raise UserError(f"baseline {folder}: {name} is not the file that {MANIFEST} describes")
    return found


def beside(comparison_ids: Collection[str], given: Path | None = None) -> dict[str, pd.DataFrame]:
    """What stands beside jobs without training anything: tag -> its metric rows.

    Args:
        comparison_ids: those of the jobs; rows of another comparison are never shown with them.
        given: a folder of baselines, else those found.

    Returns:
        Only tags that have such rows. A row stands beside another of its own ``protocol`` only.
    """
    found = {}
    for tag, folder in tags(given).items():
        rows = tables.read(folder, "metrics")
        rows = rows[rows["comparison_id"].isin(comparison_ids)]
        if len(rows):
            found[tag] = rows
    return found
