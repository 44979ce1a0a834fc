"""Anybody's tokens: did this codebook collapse, where and how; from a file, without training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from collapsebench.inspect.counting import Use, measure, piece_size
from collapsebench.inspect.images import ImageScores, score_images
from collapsebench.inspect.tokens import TokenFile, largest_token, open_codebook, open_tokens
from collapsebench.inspect.vectors import Geometry, geometry
from collapsebench.quantities import percent, worst
from collapsebench.settings import UserError, did_you_mean

FORMATS = ("html", "json", "term")


@dataclass(frozen=True)
class Inspection:
    """All that is known about a token file.

    Attributes:
        file: what was read.
        codebook_size: K, of each codebook.
        size_given: whether the user said K; else it is the largest token + 1.
        uses: one per codebook.
        geometries: one per codebook, or none without codebook vectors.
        images: None without images.
    """

    file: TokenFile
    codebook_size: int
    size_given: bool
    uses: list[Use]
    geometries: list[Geometry]
    images: ImageScores | None

    @property
    def verdict(self) -> str:
        """The worst verdict of any codebook."""
        found = {use.verdict for use in self.uses}
        return next(v for v in ("collapsed", "too few tokens to tell", "healthy") if v in found)

    @property
    def summary(self) -> str:
        """One line fit for a log."""
        if len(self.uses) > 1:
            return f"{self.file.path.name}: {self.verdict}{_of_many(self.uses, self.codebook_size)}"
        values, best = self.uses[0].values, self.uses[0].ceilings
        return (
            f"{self.file.path.name}: {self.verdict} · "
            f"perplexity {values['perplexity']:,.1f} of {self.codebook_size:,} "
            f"({percent(values['relative_perplexity'])}; "
            f"uniform {percent(best['relative_perplexity'])}) · "
            f"usage {percent(values['usage'])} · {values['dead_codes']:,.0f} dead codes · "
            f"{self.file.size:,} tokens"
        )


def _of_many(uses: list[Use], codebook_size: int) -> str:
    collapsed = sum(use.verdict == "collapsed" for use in uses)
    q = worst("perplexity", [use.values["perplexity"] for use in uses])
    r = worst("usage", [use.values["usage"] for use in uses])
    return (
        f" · {collapsed} of {len(uses)} codebooks collapsed · perplexity of {codebook_size:,}: "
        f"lowest {uses[q].values['perplexity']:,.1f} in codebook {q} · usage: lowest "
        f"{percent(uses[r].values['usage'])} in codebook {r} · {uses[0].counts.sum():,} tokens each"
    )


def inspect(
    tokens: Path,
    codebook_size: int | None = None,
    codebook: Path | None = None,
    codebooks: int = 1,
    images: tuple[Path, Path] | None = None,
) -> Inspection:
    """Measures a token file.

    Args:
        tokens: .npy, .npz, .parquet or .pt; see ``tokens.open_tokens`` for shapes.
        codebook_size: K; None takes it from ``codebook``, else the largest token + 1.
        codebook: file with the code vectors, (K, D) or (Q, K, D).
        codebooks: Q; above 1 the tokens' last axis.
        images: folder of originals, folder of reconstructions.

    Raises:
        UserError: bad input, one line.
    """
    if codebooks < 1 or (codebook_size is not None and codebook_size < 1):
        raise UserError("the number of codebooks and the codebook size must be at least 1")
    file = open_tokens(tokens, codebooks)
    vectors = None if codebook is None else open_codebook(codebook, codebooks)
    if vectors is not None and codebook_size not in (None, vectors.shape[1]):
        raise UserError(
            f"{codebook}: holds {vectors.shape[1]} codes, not the {codebook_size} given"
        )
    known = codebook_size if vectors is None else vectors.shape[1]
    size = known or largest_token(file, piece_size(file)) + 1
    return Inspection(
        file=file,
        codebook_size=size,
        size_given=known is not None,
        uses=measure(file, size),
        geometries=[] if vectors is None else [geometry(one) for one in vectors],
        images=None if images is None else score_images(*images),
    )


def run(
    tokens: Path,
    codebook_size: int | None,
    codebook: Path | None,
    codebooks: int,
    images: tuple[Path, Path] | None,
    to: list[str],
    output: Path,
) -> str:
    """What the command does: measures, writes what ``to`` asks for, returns the summary line.

    Args:
        tokens: and the next four: see ``inspect``.
        codebook_size: see ``inspect``.
        codebook: see ``inspect``.
        codebooks: see ``inspect``.
        images: see ``inspect``.
        to: any of ``FORMATS``: a page ``<name>.html``, values ``<name>.json``, a table in the
            terminal.
        output: the folder for the files, named after the token file.

    Raises:
        UserError: bad input or an unknown format, before anything is read.
    """
    from collapsebench.inspect import render

    for name in to:
        if name not in FORMATS:
            raise UserError(f"unknown format {name!r}{did_you_mean(name, FORMATS)}")
    inspection = inspect(tokens, codebook_size, codebook, codebooks, images)
    for name in to:
        render.WRITERS[name](inspection, output / f"{tokens.stem}.{name}")
    return inspection.summary
