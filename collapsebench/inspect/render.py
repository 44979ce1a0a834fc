"""An inspection as a page, as JSON and in the terminal."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from collapsebench import __version__, metrics
from collapsebench.inspect import Inspection
from collapsebench.inspect.counting import Use
from collapsebench.quantities import percent
from collapsebench.results.tables import replace_atomically, write_json

CONVERGED = 0.01  # growth of the perplexity over the last doubling of the tokens

METRICS = {  # metric -> printed name, short name in the terminal or "" if not there, its writing
    "perplexity": ("Perplexity, pooled", "perplexity", "{:,.1f}".format),
    "relative_perplexity": ("Perplexity / codebook size", "/ K", percent),
    "perplexity_batch_mean": (
        f"Perplexity, mean of batches of {metrics.BATCH_SIZE}",  "", "{:,.1f}".format
    ),
    "usage": ("Codes used", "used", percent),
    "dead_codes": ("Dead codes", "dead", "{:,.0f}".format),
    "unigram_entropy": ("Entropy, nats", "", "{:.3f}".format),
    "entropy_chao_shen": ("Entropy, corrected (Chao–Shen)", "", "{:.3f}".format),
    "effective_rank": ("Effective rank of the vectors", "rank", "{:.1f}".format),
    "duplicate_codes": ("Duplicate codes", "duplicate", "{:,.0f}".format),
}  # fmt: skip

DECIDING = ("relative_perplexity", "usage")  # what a verdict rests on


def write_html(inspection: Inspection, path: Path) -> None:
    """One self-contained page: no script, no external address, light and dark."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from collapsebench.inspect.draw import figures
    from collapsebench.report.figures import to_svg
    from collapsebench.report.style import apply_style

    with matplotlib.rc_context():
        apply_style()
        svgs = {name: to_svg(drawing, name).markup for name, drawing in figures(inspection).items()}
    loader = PackageLoader("collapsebench", "inspect")
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template("page.html.j2").render(
        it=inspection,
        sentence=sentence(inspection.uses[0]),
        rows=rows(inspection),
        definition=metrics.COLLAPSED_DEFINITION,
        converged=CONVERGED,
        svgs=svgs,
        version=__version__,
    )
    replace_atomically(path, lambda p: p.write_text(text, encoding="utf-8"), Path.read_text)


def write_term(inspection: Inspection, path: Path) -> None:
    """A line per codebook on standard output; nothing is written to ``path``."""
    table = Table("codebook", "verdict", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    shown = [row for row in rows(inspection) if row.short]
    for row in shown:
        table.add_column(row.short, justify="right")
    verdicts = [use.verdict for use in inspection.uses]
    for q, name in enumerate([*map(str, range(len(verdicts))), "uniform"]):
        table.add_row(name, [*verdicts, ""][q], *(row.values[q] for row in shown))
    Console().print(table)


def write_values(inspection: Inspection, path: Path) -> None:
    """Every number as JSON; NaN is null."""
    file = inspection.file
    write_json(
        path,
        {
            "schema_version": 1,
            "tokens": file.path.name,
            "verdict": inspection.verdict,
            "summary": inspection.summary,
            "rows": file.rows,
            "positions": list(file.positions),
            "codebook_size": inspection.codebook_size,
            "codebook_size_given": inspection.size_given,
            "codebooks": [_use_values(inspection, q) for q in range(len(inspection.uses))],
            "images": inspection.images and asdict(inspection.images),
        },
    )


WRITERS: dict[str, Callable[[Inspection, Path], None]] = {
    "html": write_html,
    "json": write_values,
    "term": write_term,
}


def sentence(use: Use) -> str:
    """The numbers that decide the verdict on one codebook, in a plain sentence."""
    size = len(use.counts)
    relative, used = (percent(use.values[name]) for name in DECIDING)
    most, most_used = (percent(use.ceilings[name]) for name in DECIDING)
    if use.verdict == "too few tokens to tell":
        return (
            f"With {use.counts.sum():,} tokens even uniform use of {size:,} codes would reach a "
            f"perplexity of {most} of the codebook size and use {most_used} of the codes."
        )
    return (
        f"The perplexity is {relative} of the codebook size of {size:,} (uniform use: {most} with "
        f"this number of tokens), and {used} of the codes are used (uniform use: {most_used})."
    )


@dataclass(frozen=True)
class Row:
    """One metric as printed; ``values`` are those of each codebook, then of uniform use."""

    name: str
    short: str
    values: list[str]


def rows(inspection: Inspection) -> list[Row]:
    """Every metric that was measured."""
    measured = [_values(inspection, q) for q in range(len(inspection.uses))]
    best = inspection.uses[0].ceilings | {"entropy_chao_shen": math.log(inspection.codebook_size)}
    if inspection.geometries:
        best["effective_rank"] = float(
            min(inspection.geometries[0].code_dim, inspection.codebook_size)
        )
    return [
        Row(name, short, [form(v[metric]) if metric in v else "" for v in (*measured, best)])
        for metric, (name, short, form) in METRICS.items()
        if math.isfinite(measured[0].get(metric, math.nan))
    ]


def _values(inspection: Inspection, q: int) -> dict[str, float]:
    """Every metric of codebook q."""
    use = inspection.uses[q]
    values = use.values | {"entropy_chao_shen": use.entropy_chao_shen}
    return values | (inspection.geometries[q].values if inspection.geometries else {})


def _use_values(inspection: Inspection, q: int) -> dict[str, Any]:
    use = inspection.uses[q]
    values = _values(inspection, q)
    return {
        "verdict": use.verdict,
        "metrics": {name: v if math.isfinite(v) else None for name, v in values.items()},
        "ceilings": use.ceilings,
        "position_perplexity": use.position_perplexity.tolist(),
        "position_ceiling": use.position_ceiling,
        "seen": use.seen.tolist(),
        "seen_perplexity": use.seen_perplexity.tolist(),
        "seen_ceiling": use.seen_ceiling.tolist(),
    }
