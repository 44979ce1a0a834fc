"""What goes with a paper: the rows as one file, the tables, how it was measured, references."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from collapsebench.report import tables
from collapsebench.report.blocks import Blocks
from collapsebench.report.data import ReportData
from collapsebench.report.tables import Table
from collapsebench.results.disk import replace_atomically

REFERENCES = Path(__file__).parent / "references.bib"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the zip format's first moment: the same rows give the same bytes


def write(data: ReportData, blocks: Blocks, path: Path) -> None:
    """One zip: rows.parquet, tables/, protocol.md, references.bib."""
    rows = io.BytesIO()
    order = ["job_id", "metric", "split", "protocol", "codebook"]
    data.metrics.sort_values(order, ignore_index=True).to_parquet(rows)
    files = {
        "rows.parquet": rows.getvalue(),
        "protocol.md": protocol(data).encode(),
        "references.bib": REFERENCES.read_bytes(),
    }
    for block in blocks.all():
        if isinstance(block, Table):
            files[f"tables/{block.name}.tex"] = tables.to_latex(block).encode()
            files[f"tables/{block.name}.csv"] = tables.to_csv(block).encode()
    replace_atomically(path, partial(_zip, files), Path.stat)


def _zip(files: Mapping[str, bytes], path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, EPOCH)
            archive.writestr(entry, files[name], zipfile.ZIP_DEFLATED)


def protocol(data: ReportData) -> str:
    """A paragraph on how the numbers were made, for a paper's appendix."""
    first = data.jobs[0]
    train = first.settings.get("train", {})
    seeds = sorted({job.seed for job in data.jobs})
    sentences = [
        f"# {data.grid['title']}",
        "",
        f"Grid `{data.name}` at scale `{data.grid['scale']}`, stages "
        f"{', '.join(data.grid['stages'])}, seeds {', '.join(map(str, seeds))}.",
        f"Training: {', '.join(f'{key} {value}' for key, value in sorted(train.items()))}.",
        "Values are means over seeds with the sample standard deviation (ddof 1). Perplexity is "
        "that of all tokens of a split pooled; mean squared error is on pixels in [0, 1].",
    ]
    for row in data.protocols.values():
        sentences.append(
            f"Distances under the protocol `{row['name']}`: extractor {row['extractor']} "
            f"(weights {row['extractor_sha256']}), {row['details']}."
        )
    note = data.grid.get("scale_note")
    return "\n".join([*sentences, *([note] if note else []), ""])
