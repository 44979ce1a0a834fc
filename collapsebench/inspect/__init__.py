"""Anybody's tokens: did this codebook collapse, where and how; from a file, without training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from collapsebench.inspect.counting import NO_VERDICT, Use, measure, piece_size
from collapsebench.inspect.diagnosis import Diagnosis, diagnose, of_use
from collapsebench.inspect.images import ImageScores, score_images
from collapsebench.inspect.tokens import (
    LARGEST_CODEBOOK,
    TokenFile,
    largest_token,
    open_codebook,
    open_tokens,
)
from collapsebench.inspect.vectors import Geometry, geometry
from collapsebench.inspect.watched import open_history
from collapsebench.monitor.history import is_history
from collapsebench.quantities import percent, worst
from collapsebench.settings import UserError, did_you_mean

FORMATS = ("html", "json", "term")
VERDICTS = (NO_VERDICT, "collapsed", "too few tokens to tell", "healthy")  # the first found decides
NO_SIZE = "the codebook size is not known: say -K"


@dataclass(frozen=True)
class Inspection:
    """All that is known about a token file.

    Attributes:
        file: what was read.
        codebook_sizes: K of each codebook; where nobody said it, the largest token + 1.
        size_given: whether the user said K.
        uses: one per codebook.
        geometries: one per codebook, or none without codebook vectors.
        images: None without images.
        watched: whether the file is a monitor's history, not tokens.
    """

    file: TokenFile
    codebook_sizes: tuple[int, ...]
    size_given: bool
    uses: list[Use]
    geometries: list[Geometry]
    images: ImageScores | None
    watched: bool = False

    @property
    def diagnoses(self) -> list[Diagnosis]:
        """What is wrong with each codebook of known size; along training if it was watched."""
        if self.watched:
            return diagnose(self.file.path)
        vectors = [one.values for one in self.geometries] or [{} for _ in self.uses]
        pairs = zip(self.uses, vectors, strict=True)
        known = self.size_given and not self.file.question
        return [of_use(use, q, values) for q, (use, values) in enumerate(pairs) if known]

    @property
    def codebook_size(self) -> int:
        """K of the largest codebook."""
        return max(self.codebook_sizes)

    @property
    def verdict(self) -> str:
        """The worst verdict of any codebook."""
        verdicts = {use.verdict for use in self.uses}
        return next(verdict for verdict in VERDICTS if verdict in verdicts)

    @property
    def reason(self) -> str:
        """Why there is no verdict, and what to say for one; "" if there is one."""
        question = f"codebooks or positions? say {self.file.question}" if self.file.question else ""
        return "; ".join(filter(None, ["" if self.size_given else NO_SIZE, question]))

    @property
    def tokens(self) -> int:
        """All tokens, without padding."""
        return sum(int(use.counts.sum()) for use in self.uses)

    @property
    def summary(self) -> str:
        """One line fit for a log."""
        why = f" ({self.reason})" if self.reason else ""
        facts = _of_many if len(self.uses) > 1 else _of_one
        return f"{self.file.path.name}: {self.verdict}{why} · {facts(self)}"

    def _repr_html_(self) -> str:
        from collapsebench.inspect.render import html_table

        return html_table(self)


def _of_one(inspection: Inspection) -> str:
    use = inspection.uses[0]
    values, best, read = use.values, use.ceilings, f"{inspection.tokens:,} tokens"
    if not inspection.size_given:
        return (
            f"perplexity {values['perplexity']:,.1f} · {use.distinct:,} distinct tokens, "
            f"the largest {inspection.codebook_size - 1} · {read}"
        )
    return (
        f"perplexity {values['perplexity']:,.1f} of {inspection.codebook_size:,} "
        f"({percent(values['relative_perplexity'])}; "
        f"uniform {percent(best['relative_perplexity'])}) · "
        f"usage {percent(values['usage'])} · {values['dead_codes']:,.0f} dead codes · {read}"
    )


def _of_many(inspection: Inspection) -> str:
    uses, sizes = inspection.uses, inspection.codebook_sizes
    shares = [use.values["perplexity"] / size for use, size in zip(uses, sizes, strict=True)]
    lowest, rarest = (
        worst("relative_perplexity", shares),
        worst("usage", [u.values["usage"] for u in uses]),
    )
    perplexity = f"{uses[lowest].values['perplexity']:,.1f}"
    read = f"{inspection.tokens // len(uses):,} tokens each"
    if not inspection.size_given:
        return f"lowest perplexity {perplexity} in codebook {lowest} · {read}"
    collapsed = sum(use.verdict == "collapsed" for use in uses)
    return (
        f"{collapsed} of {len(uses)} codebooks collapsed · lowest perplexity {perplexity} of "
        f"{sizes[lowest]:,} in codebook {lowest} · lowest usage "
        f"{percent(uses[rarest].values['usage'])} in codebook {rarest} · {read}"
    )


def inspect(
    tokens: Path,
    codebook_size: int | Sequence[int] | None = None,
    codebook: Path | None = None,
    codebooks: int | None = None,
    axis: int | None = None,
    ignore: int | None = None,
    images: tuple[Path, Path] | None = None,
) -> Inspection:
    """Measures a token file.

    Args:
        tokens: .npy, .npz, .parquet, .pt or .safetensors, or a folder of parquet parts; see
            ``tokens.open_tokens`` for shapes. Or the history of a ``CodebookMonitor``, which says
            all but ``images`` itself.
        codebook_size: K, of each codebook if they differ; None takes it from ``codebook``. Without
            either there are numbers, but no verdict.
        codebook: file with the code vectors, (K, D) or (Q, K, D).
        codebooks: Q of residual tokens; None takes the number of sizes or the length of ``axis``,
            else 1, without a verdict where an axis looks like codebooks.
        axis: of the codebooks in the tokens, else the last one or the one of length Q.
        ignore: a value that is padding, no token.
        images: folder of originals, folder of reconstructions.

    Raises:
        UserError: bad input, one line.
    """
    if is_history(tokens):
        if any(given is not None for given in (codebook_size, codebook, codebooks, axis, ignore)):
            raise UserError(f"{tokens}: is a history, which says sizes, codes and padding itself")
        return _of_history(tokens, images)
    sizes = _sizes(codebook_size)
    if len(sizes) > 1:
        if codebooks not in (None, len(sizes)):
            raise UserError(f"{len(sizes)} codebook sizes are given for {codebooks} codebooks")
        codebooks = len(sizes)
    if codebooks is not None and codebooks < 1:
        raise UserError("the number of codebooks must be at least 1")
    file = open_tokens(tokens, codebooks, axis, ignore)
    vectors = None if codebook is None else open_codebook(codebook, file.codebooks)
    if vectors is not None:
        if sizes and set(sizes) != {vectors.shape[1]}:
            given = ", ".join(map(str, sizes))
            raise UserError(f"{codebook}: holds {vectors.shape[1]} codes, not the {given} given")
        sizes = (vectors.shape[1],)
    known = bool(sizes)
    if not known:
        sizes = (largest_token(file, piece_size(file)) + 1,)
    sizes = sizes if len(sizes) > 1 else sizes * file.codebooks
    return Inspection(
        file=file,
        codebook_sizes=sizes,
        size_given=known,
        uses=measure(file, sizes, known),
        geometries=[] if vectors is None else [geometry(one) for one in vectors],
        images=None if images is None else score_images(*images),
    )


def _of_history(path: Path, images: tuple[Path, Path] | None) -> Inspection:
    file, uses = open_history(path)
    sizes = tuple(len(use.counts) for use in uses)
    scores = None if images is None else score_images(*images)
    return Inspection(file, sizes, True, uses, [], scores, watched=True)


def forms(text: str) -> list[str]:
    """``html,term`` -> ["html", "term"].

    Raises:
        UserError: an unknown form.
    """
    names = text.split(",")
    for name in names:
        if name not in FORMATS:
            raise UserError(f"unknown format {name!r}{did_you_mean(name, FORMATS)}")
    return names


def write(inspection: Inspection, names: Sequence[str], folder: Path) -> list[Path]:
    """Writes an inspection in some of ``FORMATS``, and returns the files.

    A page ``<tokens>.html`` and values ``<tokens>.json`` go into the folder, a table into the
    terminal.
    """
    from collapsebench.inspect import render

    paths = [folder / f"{inspection.file.path.stem}.{name}" for name in names]
    for name, path in zip(names, paths, strict=True):
        render.WRITERS[name](inspection, path)
    return [path for name, path in zip(names, paths, strict=True) if name != "term"]


def _sizes(codebook_size: int | Sequence[int] | None) -> tuple[int, ...]:
    """The sizes that were given: none, one, or one per codebook."""
    if codebook_size is None:
        return ()
    sizes = tuple(int(size) for size in np.atleast_1d(codebook_size))
    if not all(1 <= size <= LARGEST_CODEBOOK for size in sizes):
        raise UserError(f"a codebook size must be at least 1 and at most {LARGEST_CODEBOOK:,}")
    return sizes
