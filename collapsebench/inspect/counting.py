"""One pass over a token file: how each codebook is used, where, and whether the count converged."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapsebench import metrics
from collapsebench.inspect.tokens import PADDING, TokenFile, checked
from collapsebench.settings import UserError

PIECE = 2**22  # tokens in memory at once, about
CELLS = 2**24  # counts kept at once: codebooks * groups of positions * codes
MOST_GROUPS = 2**16  # of positions; the perplexity of each takes microseconds
CHECKPOINTS = 24  # points of the curve over tokens seen
FIRST_CHECKPOINT = 1e-3  # share of the tokens at its first point
WITHOUT_SIZE = ("perplexity", "unigram_entropy", "perplexity_batch_mean")  # need no K
NO_VERDICT = "no verdict"  # without a codebook size, or on tokens that may be of several codebooks


@dataclass(frozen=True)
class Use:
    """How one codebook is used.

    Attributes:
        counts: (K,); up to the largest token if K is not known.
        values: metric name -> value, the keys of ``metrics.codebook_metrics`` and
            ``entropy_chao_shen``; those that need K only if it is known, ``collapsed`` only with a
            verdict.
        ceilings: metric name -> what uniform use would give at this number of tokens; empty if K is
            not known, as the other ceilings are NaN then.
        verdict: one of ``metrics.verdict``'s, or ``NO_VERDICT``.
        position_perplexity: (G,), one per group of neighbouring positions; one position per group
            where memory allows. NaN where all is padding.
        position_ceiling: perplexity under uniform use at the number of tokens of the fullest group.
        seen: (M,), numbers of tokens read, in file order.
        seen_perplexity: (M,), perplexity of the first ``seen`` tokens.
        seen_ceiling: (M,).
    """

    counts: NDArray[np.int64]
    values: dict[str, float]
    ceilings: dict[str, float]
    verdict: str
    position_perplexity: NDArray[np.float64]
    position_ceiling: float
    seen: NDArray[np.int64]
    seen_perplexity: NDArray[np.float64]
    seen_ceiling: NDArray[np.float64]

    @property
    def distinct(self) -> int:
        """Number of codes chosen at least once."""
        return int((self.counts > 0).sum())

    @property
    def last_doubling(self) -> float:
        """Relative growth of the perplexity from half of the tokens to all of them."""
        half = np.interp(self.seen[-1] / 2, self.seen, self.seen_perplexity)
        return float(self.seen_perplexity[-1] / half - 1)


def piece_size(file: TokenFile) -> int:
    """How many tokens to read at once: whole batches of rows, else whole rows, if they fit."""
    for unit in (metrics.BATCH_SIZE * file.row_tokens, file.row_tokens):
        if unit <= PIECE:
            return PIECE // unit * unit
    return PIECE


def measure(file: TokenFile, sizes: Sequence[int], known: bool = True) -> list[Use]:
    """The use of each of the Q codebooks.

    Memory: ``CELLS`` counts and ``PIECE`` tokens, whatever the size of the file.

    Args:
        file: the tokens.
        sizes: K of each codebook.
        known: whether these are the sizes, not only what the largest token says.

    Raises:
        UserError: a token outside [0, K), or a codebook whose tokens are all padding.
    """
    largest = max(sizes)
    most = min(MOST_GROUPS, CELLS // (file.codebooks * largest))
    groups = max(1, min(file.positions_per_row, most))
    bins = np.zeros(file.codebooks * groups * largest, dtype=np.int64)
    shape = (file.codebooks, groups, largest)
    checkpoints = _checkpoints(file)
    seen, curve, batches, start = [], [], [], 0
    for piece in file.pieces(piece_size(file)):
        tokens = checked(file.path, piece, largest, file.ignore)
        for part in _split(tokens, start, checkpoints):
            index = _offsets(start, len(part), file, groups) * largest + part
            if file.ignore is not None:
                index = index[part != PADDING]
            bins += np.bincount(index, minlength=len(bins))
            start += len(part)
            if start in checkpoints:
                counts = bins.reshape(shape).sum(axis=1)
                if counts.any(axis=1).all():  # not while all was padding
                    seen.append(counts.sum(axis=1))
                    curve.append([metrics.perplexity(c) for c in counts])
        batches.append(_batch_perplexities(tokens, file))
    by_group = bins.reshape(shape)
    _check(by_group.sum(axis=1), sizes, file)
    columns = zip(np.array(seen).T, np.array(curve).T, np.concatenate(batches).T, strict=True)
    return [
        _use(by_group[q, :, :size], *column, file, known)
        for q, (size, column) in enumerate(zip(sizes, columns, strict=True))
    ]


def _check(counts: NDArray[np.int64], sizes: Sequence[int], file: TokenFile) -> None:
    """Counts (Q, largest K): each codebook has tokens, and none beyond its own size."""
    for q, (used, size) in enumerate(zip(counts, sizes, strict=True)):
        if not used.any():
            raise UserError(f"{file.path}: no tokens of codebook {q}, all are {file.ignore}")
        if (most := int(np.flatnonzero(used)[-1])) >= size:
            raise UserError(
                f"{file.path}: token {most} is outside codebook {q}, which has {size} codes"
            )


def _use(
    counts: NDArray[np.int64],
    seen: NDArray[np.int64],
    curve: NDArray[np.float64],
    by_batch: NDArray[np.float64],
    file: TokenFile,
    known: bool,
) -> Use:
    """One codebook from its counts (G, K), its curve (M,) and its batches' perplexities."""
    pooled, size = counts.sum(axis=0), counts.shape[1]
    n, by_batch = int(pooled.sum()), by_batch[np.isfinite(by_batch)]
    values = metrics.count_metrics(pooled)
    values["entropy_chao_shen"] = metrics.entropy_chao_shen(pooled)
    values["perplexity_batch_mean"] = float(by_batch.mean()) if len(by_batch) else math.nan
    batch_tokens = metrics.BATCH_SIZE * n // file.rows if len(by_batch) else 0
    group_tokens = int(counts.sum(axis=1).max())
    if file.question:
        del values["collapsed"]
    ceiling = functools.partial(metrics.perplexity_ceiling, codebook_size=size)
    return Use(
        counts=pooled,
        values=values if known else {name: values[name] for name in WITHOUT_SIZE},
        ceilings=metrics.ceilings(n, size, batch_tokens) if known else {},
        verdict=metrics.verdict(pooled) if known and not file.question else NO_VERDICT,
        position_perplexity=np.array([_perplexity(group) for group in counts]),
        position_ceiling=ceiling(group_tokens) if known else math.nan,
        seen=seen,
        seen_perplexity=curve,
        seen_ceiling=np.array([ceiling(int(n)) if known else math.nan for n in seen]),
    )


def _perplexity(counts: NDArray[np.int64]) -> float:
    """NaN where all is padding."""
    return metrics.perplexity(counts) if counts.any() else math.nan


def _checkpoints(file: TokenFile) -> list[int]:
    """Tokens read at the points of the curve: even on a logarithmic axis, whole positions."""
    steps = np.geomspace(FIRST_CHECKPOINT, 1, CHECKPOINTS) * (file.size // file.codebooks)
    return [int(n) * file.codebooks for n in np.unique(np.rint(steps)) if n >= 1]


def _split(
    tokens: NDArray[np.int64], start: int, checkpoints: list[int]
) -> list[NDArray[np.int64]]:
    return np.split(tokens, [c - start for c in checkpoints if start < c < start + len(tokens)])


def _offsets(start: int, length: int, file: TokenFile, groups: int) -> Any:
    """codebook * groups + group of ``length`` tokens of the file from ``start`` on."""
    if groups * file.codebooks == 1:
        return 0
    index = np.arange(start, start + length)
    position = index // file.codebooks
    codebook = index - position * file.codebooks
    position -= position // file.positions_per_row * file.positions_per_row
    return codebook * groups + position * groups // file.positions_per_row


def _batch_perplexities(tokens: NDArray[np.int64], file: TokenFile) -> NDArray[np.float64]:
    """The perplexity of each full batch of rows in a piece, (batches, Q); NaN of padding alone.

    By run lengths of sorted tokens: a batch has far fewer tokens than a large codebook has codes.
    Flat files have no rows to batch, and a batch larger than a piece is not measured.
    """
    batch = metrics.BATCH_SIZE * file.row_tokens
    full = len(tokens) // batch if file.positions and batch <= PIECE else 0
    if not full:
        return np.empty((0, file.codebooks))
    rows = tokens[: full * batch].astype(np.int32).reshape(full, -1, file.codebooks)
    rows = np.sort(rows.transpose(0, 2, 1).reshape(full * file.codebooks, -1), axis=1)
    first = np.ones(rows.shape, dtype=bool)
    first[:, 1:] = rows[:, 1:] != rows[:, :-1]
    starts = np.flatnonzero(first)
    runs = np.diff(starts, append=rows.size).astype(np.float64)
    runs[rows.ravel()[starts] == PADDING] = 0
    row = starts // rows.shape[1]
    n = np.bincount(row, runs)
    with np.errstate(divide="ignore", invalid="ignore"):  # n is 0 of padding alone
        entropy = np.log(n) - np.bincount(row, runs * np.log(np.maximum(runs, 1))) / n
    return np.exp(entropy).reshape(full, file.codebooks)
