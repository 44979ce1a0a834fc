"""An inspection as a page, as JSON and in the terminal."""

from __future__ import annotations

import html
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib
from rich.box import SIMPLE_HEAD
from rich.table import Table

from collapsebench import __version__, metrics
from collapsebench.inspect import Inspection
from collapsebench.quantities import percent
from collapsebench.results.disk import replace_atomically, write_json
from collapsebench.settings import console

CONVERGED = 0.01  # growth of the perplexity over the last doubling of the tokens

METRICS = {  # metric -> printed name, short name in the terminal or "" if not there, its writing
    "codebook_size": ("Codebook size", "K", "{:,.0f}".format),
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
    "duplicate_codes": ("Duplicate codes", "copies", "{:,.0f}".format),
    "non_finite_codes": ("Codes that are not finite", "NaN", "{:,.0f}".format),
}  # fmt: skip

DECIDING = ("relative_perplexity", "usage")  # what a verdict rests on


def write_html(inspection: Inspection, path: Path) -> None:
    """One self-contained page: no script, no external address, light and dark."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from collapsebench.inspect.draw import figures
    from collapsebench.report.style import apply_style
    from collapsebench.report.svg import to_svg

    with matplotlib.rc_context():
        apply_style()
        drawings = figures(inspection)
        svgs = {name: to_svg(drawing, name).markup for name, drawing in drawings.items()}
    looks = set().union(*(drawing.looks for drawing in drawings.values()))
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
        sentence=sentence(inspection),
        rows=rows(inspection),
        diagnoses=inspection.diagnoses,
        definition=metrics.COLLAPSED_DEFINITION,
        converged=CONVERGED,
        svgs=svgs,
        looks=sorted(looks, key=lambda look: look.color),
        decibels=decibels,
        version=__version__,
    )
    replace_atomically(path, lambda p: p.write_text(text, encoding="utf-8"), Path.read_text)


def write_term(inspection: Inspection, path: Path) -> None:
    """A line per codebook, and one of images, on standard output; ``path`` is not written."""
    table = Table("codebook", "verdict", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    shown = [row for row in rows(inspection) if row.short]
    for row in shown:
        table.add_column(row.short, justify="right")
    verdicts = [use.verdict for use in inspection.uses]
    names = [*map(str, range(len(verdicts))), *(["uniform"] if inspection.size_given else [])]
    for q, name in enumerate(names):
        table.add_row(name, [*verdicts, ""][q], *(row.values[q] for row in shown))
    console().print(table)
    if images := inspection.images:
        print(
            f"{images.count:,} images: MSE {images.mse:.6f}, PSNR {decibels(images.psnr)} dB, "
            f"{images.rfd_label} {images.rfd:.4g}"
        )


def html_table(inspection: Inspection) -> str:
    """Every metric as an HTML table, for a notebook: a column a codebook, then uniform use."""
    verdicts = [use.verdict for use in inspection.uses]
    lines = [("verdict", [*verdicts, ""]), *((row.name, row.values) for row in rows(inspection))]
    names = [*map(str, range(len(verdicts))), "uniform use"]
    head = "".join(f"<th>{name}</th>" for name in ("codebook", *names))
    body = "".join(
        f"<tr><th>{name}</th>{''.join(f'<td>{value}</td>' for value in values)}</tr>"
        for name, values in lines  # our own words and digits; only the file's name is not
    )
    caption = html.escape(inspection.summary)
    return (
        f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>"
    )


def write_values(inspection: Inspection, path: Path) -> None:
    """Every number as JSON; NaN and infinity are null."""
    file, known = inspection.file, inspection.size_given
    values = {
        "schema_version": 1,
        "tokens": file.path.name,
        "verdict": inspection.verdict,
        "reason": inspection.reason,
        "summary": inspection.summary,
        "rows": file.rows,
        "positions": list(file.positions),
        "codebook_size": inspection.codebook_size,
        "codebook_size_given": known,
        "codebooks": [_use_values(inspection, q) for q in range(len(inspection.uses))],
        "diagnoses": [one.as_dict() for one in inspection.diagnoses],
        "images": inspection.images and asdict(inspection.images),
    }
    write_json(path, _finite(values))


WRITERS: dict[str, Callable[[Inspection, Path], None]] = {
    "html": write_html,
    "json": write_values,
    "term": write_term,
}


def sentence(inspection: Inspection) -> str:
    """The numbers that decide the verdict on one codebook, in a plain sentence."""
    use, size = inspection.uses[0], inspection.codebook_size
    if not inspection.size_given:
        return (
            f"{use.distinct:,} distinct tokens, the largest {size - 1}, with a perplexity of "
            f"{use.values['perplexity']:,.1f}: much for a small codebook, little for a large one."
        )
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


def decibels(psnr: float) -> str:
    """13.98, or ∞ for equal images."""
    return f"{psnr:.2f}" if math.isfinite(psnr) else "∞"


@dataclass(frozen=True)
class Printed:
    """One metric as printed; ``values`` are those of each codebook, then of uniform use."""

    name: str
    short: str
    values: list[str]


def rows(inspection: Inspection) -> list[Printed]:
    """Every metric that was measured."""
    measured = [_values(inspection, q) for q in range(len(inspection.uses))]
    if len(set(inspection.codebook_sizes)) > 1:
        for values, size in zip(measured, inspection.codebook_sizes, strict=True):
            values["codebook_size"] = float(size)
    best = [_best(inspection, q) for q in range(len(inspection.uses))]
    return [
        Printed(
            name, short, [*(_one(form, v, metric) for v in measured), _range(form, best, metric)]
        )
        for metric, (name, short, form) in METRICS.items()
        if any(math.isfinite(v.get(metric, math.nan)) for v in measured)
    ]


def _one(form: Callable[[float], str], values: dict[str, float], metric: str) -> str:
    return form(values[metric]) if metric in values else ""


def _range(form: Callable[[float], str], best: list[dict[str, float]], metric: str) -> str:
    """What uniform use gives: from the lowest to the highest where codebooks differ in size."""
    values = [one[metric] for one in best if metric in one]
    ends = [form(min(values)), form(max(values))] if values else []
    return " – ".join(dict.fromkeys(ends))


def _values(inspection: Inspection, q: int) -> dict[str, float]:
    """Every metric of codebook q."""
    vectors = inspection.geometries[q].values if inspection.geometries else {}
    return inspection.uses[q].values | vectors


def _best(inspection: Inspection, q: int) -> dict[str, float]:
    """What uniform use would give of codebook q; nothing if its size is not known."""
    size, best = inspection.codebook_sizes[q], inspection.uses[q].ceilings
    if inspection.size_given:
        best = best | {"entropy_chao_shen": math.log(size)}
    if inspection.geometries:
        best = best | {"effective_rank": float(min(inspection.geometries[q].code_dim, size))}
    return best


def _use_values(inspection: Inspection, q: int) -> dict[str, Any]:
    use = inspection.uses[q]
    return {
        "verdict": use.verdict,
        "codebook_size": inspection.codebook_sizes[q] if inspection.size_given else None,
        "distinct_tokens": use.distinct,
        "metrics": _values(inspection, q),
        "ceilings": use.ceilings,
        "position_perplexity": use.position_perplexity.tolist(),
        "position_ceiling": use.position_ceiling,
        "seen": use.seen.tolist(),
        "seen_perplexity": use.seen_perplexity.tolist(),
        "seen_ceiling": use.seen_ceiling.tolist(),
    }


def _finite(value: Any) -> Any:
    """The same, with None for every float that JSON has no word for."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
