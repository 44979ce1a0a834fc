"""One pass over a token file: how each codebook is used, where, and whether the count converged."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapsebench import metrics
from collapsebench.inspect.tokens import TokenFile, checked

PIECE = 2**22  # tokens in memory at once, about
CELLS = 2**24  # counts kept at once: codebooks * groups of positions * codes
CHECKPOINTS = 24  # points of the curve over tokens seen
FIRST_CHECKPOINT = 1e-3  # share of the tokens at its first point


@dataclass(frozen=True)
class Use:
    """How one codebook is used.

    Attributes:
        counts: (K,).
        values: metric name -> value, the keys of ``metrics.codebook_metrics``.
        ceilings: metric name -> what uniform use would give at this number of tokens.
        verdict: one of ``metrics.verdict``'s.
        entropy_chao_shen: nats.
        position_perplexity: (G,), one per group of neighbouring positions; one position per group
            where memory allows.
        position_ceiling: perplexity under uniform use at one group's number of tokens.
        seen: (M,), numbers of tokens read, in file order.
        seen_perplexity: (M,), perplexity of the first ``seen`` tokens.
        seen_ceiling: (M,).
    """

    counts: NDArray[np.int64]
    values: dict[str, float]
    ceilings: dict[str, float]
    verdict: str
    entropy_chao_shen: float
    position_perplexity: NDArray[np.float64]
    position_ceiling: float
    seen: NDArray[np.int64]
    seen_perplexity: NDArray[np.float64]
    seen_ceiling: NDArray[np.float64]

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


def measure(file: TokenFile, codebook_size: int) -> list[Use]:
    """The use of each of the Q codebooks, all of size K.

    Memory: ``CELLS`` counts and ``PIECE`` tokens, whatever the size of the file.

    Raises:
        UserError: a token outside [0, K).
    """
    groups = max(1, min(file.positions_per_row, CELLS // (file.codebooks * codebook_size)))
    bins = np.zeros(file.codebooks * groups * codebook_size, dtype=np.int64)
    shape = (file.codebooks, groups, codebook_size)
    checkpoints = _checkpoints(file)
    seen, curve, batches, start = [], [], [], 0
    for piece in file.pieces(piece_size(file)):
        tokens = checked(file.path, piece, codebook_size)
        for part in _split(tokens, start, checkpoints):
            index = _offsets(start, len(part), file, groups) * codebook_size + part
            bins += np.bincount(index, minlength=len(bins))
            start += len(part)
            if start in checkpoints:
                counts = bins.reshape(shape).sum(axis=1)
                seen.append(start // file.codebooks)
                curve.append([metrics.perplexity(c) for c in counts])
        batches.append(_batch_perplexities(tokens, file))
    by_batch = np.concatenate(batches)
    return [
        _use(counts, np.array(seen), np.array(curve)[:, q], by_batch[:, q], file)
        for q, counts in enumerate(bins.reshape(shape))
    ]


def _use(
    counts: NDArray[np.int64],
    seen: NDArray[np.int64],
    curve: NDArray[np.float64],
    by_batch: NDArray[np.float64],
    file: TokenFile,
) -> Use:
    """One codebook from its counts (G, K), its curve (M,) and its batches' perplexities."""
    pooled, size = counts.sum(axis=0), counts.shape[1]
    values = metrics.count_metrics(pooled)
    values["perplexity_batch_mean"] = float(by_batch.mean()) if len(by_batch) else math.nan
    batch_tokens = metrics.BATCH_SIZE * file.positions_per_row if len(by_batch) else 0
    group_tokens = int(pooled.sum()) // len(counts)
    return Use(
        counts=pooled,
        values=values,
        ceilings=metrics.ceilings(int(pooled.sum()), size, batch_tokens),
        verdict=metrics.verdict(pooled),
        entropy_chao_shen=metrics.entropy_chao_shen(pooled),
        position_perplexity=np.array([metrics.perplexity(group) for group in counts]),
        position_ceiling=metrics.perplexity_ceiling(group_tokens, size),
        seen=seen,
        seen_perplexity=curve,
        seen_ceiling=np.array([metrics.perplexity_ceiling(int(n), size) for n in seen]),
    )


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
    """The perplexity of each full batch of rows in a piece, (batches, Q).

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
    n = rows.shape[1]
    entropy = math.log(n) - np.bincount(starts // n, runs * np.log(runs)) / n
    return np.exp(entropy).reshape(full, file.codebooks)
