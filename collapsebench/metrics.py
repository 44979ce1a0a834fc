"""Codebook metrics: pure functions of token counts, in numpy; every number has one definition here.

Counts are of hard tokens, pooled over a whole split, so that averaging over batches is impossible
(the one metric that does average, the paper's, says so in its name). Logarithms are natural;
0 log 0 = 0; no epsilon anywhere.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

Counts = NDArray[np.int64]

BATCH_SIZE = 128  # images per batch of `perplexity_batch_mean`: the paper's training batch
DUPLICATE_TOLERANCE = 1e-6  # share of the codebook's largest absolute entry

COLLAPSED_RELATIVE_PERPLEXITY = 0.1
COLLAPSED_USAGE = 0.5
COLLAPSED_DEFINITION = (
    f"collapsed: perplexity below {100 * COLLAPSED_RELATIVE_PERPLEXITY:g} % of the codebook size, "
    f"or fewer than {100 * COLLAPSED_USAGE:g} % of the codes used"
)


def to_array(values: Any) -> NDArray[Any]:
    """Arrays, nested lists and torch tensors (any device, with gradients or not) as one array.

    Torch is not imported. Its low-precision floats become float64, which holds them exactly.

    Raises:
        ValueError: parts of unequal shapes.
    """
    if hasattr(values, "detach"):
        tensor = values.detach().cpu()
        return np.asarray(tensor.double() if tensor.is_floating_point() else tensor)
    if isinstance(values, (list, tuple)) and any(getattr(part, "ndim", 0) for part in values):
        values = [to_array(part) for part in values]
        if len(shapes := {part.shape for part in values}) > 1:
            raise ValueError(f"arrays of the shapes {sorted(shapes)} are no one array")
    return np.asarray(values)


def counts(tokens: ArrayLike, codebook_size: int, ignore: int | None = None) -> Counts:
    """How often each code was chosen: integer tokens of any shape in [0, K) -> (K,) int64.

    Args:
        tokens: any shape.
        codebook_size: K.
        ignore: a value that is no token, padding, and not counted.

    Raises:
        ValueError: tokens that are not integers, or outside [0, K).
    """
    flat = np.asarray(tokens).ravel()
    if not np.issubdtype(flat.dtype, np.integer):
        raise ValueError(f"tokens must be integers, not {flat.dtype}")
    if ignore is not None:
        flat = flat[flat != ignore]
    if flat.size and int(flat.min()) < 0:
        raise ValueError(f"token {flat.min()} is negative")
    if flat.size and int(flat.max()) >= codebook_size:
        raise ValueError(f"token {flat.max()} is outside a codebook of {codebook_size} codes")
    return np.bincount(flat.astype(np.int64, copy=False), minlength=codebook_size)


def entropy(weights: ArrayLike) -> float:
    """Entropy in nats of non-negative weights (counts, say) divided by their sum; in [0, log K].

    Raises:
        ValueError: weights that sum to zero.
    """
    weights = np.asarray(weights, dtype=np.float64)
    total = weights.sum()
    if total == 0:
        raise ValueError("no tokens: the entropy of nothing is undefined")
    p = weights[weights > 0] / total
    return max(0.0, float(-(p * np.log(p)).sum()))


def entropy_chao_shen(counts: Counts) -> float:
    """Entropy in nats, corrected for codes not yet seen; for few tokens, where the plain is low.

    Chao and Shen 2003, Environmental and Ecological Statistics 10, eq. 6: probabilities shrunk by
    the estimated coverage 1 - (codes seen once) / n, each term divided by the probability of
    having been seen at all. If every token is a code of its own, one of them counts as seen twice.
    In [0, log K]: more than uniform use is never claimed.
    """
    n = counts.sum()
    singletons = min(int((counts == 1).sum()), int(n) - 1)
    p = counts[counts > 0] / n * (1 - singletons / n)
    with np.errstate(divide="ignore"):  # one code has every token: log 0, and it was surely seen
        seen = -np.expm1(n * np.log1p(-p))
    return min(math.log(len(counts)), max(0.0, float(-(p * np.log(p) / seen).sum())))


def perplexity(counts: Counts) -> float:
    """Exp of the entropy of the counts, in [1, K]."""
    return math.exp(entropy(counts))


def relative_perplexity(counts: Counts) -> float:
    """Perplexity / K, in [1/K, 1]."""
    return perplexity(counts) / len(counts)


def perplexity_batch_mean(
    tokens: ArrayLike,
    codebook_size: int,
    batch_size: int = BATCH_SIZE,
    ignore: int | None = None,
) -> float:
    """The paper's perplexity: the mean of the perplexities of batches of ``batch_size`` rows.

    Tokens are (N, h, w) or any (N, ...). The last partial batch is dropped, as in the authors'
    data loader, and a batch of nothing but ``ignore``; NaN if no batch is left, and for flat tokens
    (N,), which have no rows. Biased towards small values: a batch has few tokens.
    """
    tokens = np.asarray(tokens)
    full = len(tokens) // batch_size
    if full == 0 or tokens.ndim == 1:
        return math.nan
    batches = tokens[: full * batch_size].reshape(full, -1)
    by_batch = [counts(batch, codebook_size, ignore) for batch in batches]
    perplexities = [perplexity(one) for one in by_batch if one.any()]
    return float(np.mean(perplexities)) if perplexities else math.nan


def usage(counts: Counts) -> float:
    """Share of codes that were chosen at least once, in [1/K, 1]."""
    return float((counts > 0).mean())


def dead_codes(counts: Counts) -> int:
    """Number of codes that were never chosen, in [0, K - 1]."""
    return int((counts == 0).sum())


def collapsed(counts: Counts) -> bool:
    """Whether the codebook collapsed, by the one definition, ``COLLAPSED_DEFINITION``."""
    return (
        relative_perplexity(counts) < COLLAPSED_RELATIVE_PERPLEXITY
        or usage(counts) < COLLAPSED_USAGE
    )


def verdict(counts: Counts) -> str:
    """One of "collapsed", "healthy" and "too few tokens to tell".

    The definition of ``collapsed``, where each of its two thresholds speaks only if uniform use
    of the codebook would have passed it with this number of tokens.
    """
    size, best = len(counts), ceilings(int(counts.sum()), len(counts))
    pairs = [
        (perplexity(counts) / size, best["relative_perplexity"], COLLAPSED_RELATIVE_PERPLEXITY),
        (usage(counts), best["usage"], COLLAPSED_USAGE),
    ]
    if any(value < threshold <= ceiling for value, ceiling, threshold in pairs):
        return "collapsed"
    return "too few tokens to tell" if collapsed(counts) else "healthy"


def perplexity_ceiling(n_tokens: int, codebook_size: int) -> float:
    """Perplexity that uniform use of K codes gives with n tokens; in [1, K].

    Exp of the exact expected entropy, log n - K/n E[X log X] with X ~ Binomial(n, 1/K). The sum
    runs over the mean and 12 standard deviations to both sides; what is beyond is below 1e-30.
    """
    if codebook_size == 1:
        return 1.0
    n, p = n_tokens, 1 / codebook_size
    reach = 12 * math.sqrt(n * p * (1 - p)) + 60  # 60: the skewed tail of a small mean
    x = np.arange(max(0, math.floor(n * p - reach)), min(n, math.ceil(n * p + reach)) + 1)
    log_ratio = np.log((n - x[:-1]) / (x[:-1] + 1)) + math.log(p / (1 - p))
    log_pmf = np.concatenate([[0.0], np.cumsum(log_ratio)])
    pmf = np.exp(log_pmf - log_pmf.max())
    x_log_x = x * np.log(np.maximum(x, 1))
    return math.exp(math.log(n) - (pmf @ x_log_x) / pmf.sum() * codebook_size / n)


def usage_ceiling(n_tokens: int, codebook_size: int) -> float:
    """Expected usage under uniform use of K codes with n tokens: 1 - (1 - 1/K)^n."""
    if codebook_size == 1:
        return 1.0
    return -math.expm1(n_tokens * math.log1p(-1 / codebook_size))


def ceilings(n_tokens: int, codebook_size: int, batch_tokens: int = 0) -> dict[str, float]:
    """What uniform use of the codebook would give with ``n_tokens`` tokens, by metric name.

    Args:
        n_tokens: tokens in the whole split.
        codebook_size: K.
        batch_tokens: tokens in one batch of ``perplexity_batch_mean``, ``BATCH_SIZE`` * h * w;
            0 leaves that metric out.
    """
    best_perplexity = perplexity_ceiling(n_tokens, codebook_size)
    best_usage = usage_ceiling(n_tokens, codebook_size)
    best = {
        "perplexity": best_perplexity,
        "relative_perplexity": best_perplexity / codebook_size,
        "usage": best_usage,
        "dead_codes": (1 - best_usage) * codebook_size,
        "unigram_entropy": math.log(best_perplexity),
    }
    if batch_tokens:
        best["perplexity_batch_mean"] = perplexity_ceiling(batch_tokens, codebook_size)
    return best


def finite_codes(codebook: ArrayLike) -> NDArray[np.float64]:
    """The codes (rows) of a codebook (K, D) without NaN and inf, float64."""
    vectors = np.asarray(codebook, dtype=np.float64)
    return vectors[np.isfinite(vectors).all(axis=1)]


def effective_rank(codebook: ArrayLike) -> float:
    """Exp of the entropy of the singular values of the finite codes (K, D); in [1, min(K, D)].

    Roy and Vetterli 2007, "The effective rank", EUSIPCO, definition 1. An all-zero codebook has
    rank 0.
    """
    singular_values = np.linalg.svd(finite_codes(codebook), compute_uv=False)
    return math.exp(entropy(singular_values)) if singular_values.any() else 0.0


def duplicate_codes(codebook: ArrayLike, tolerance: float = DUPLICATE_TOLERANCE) -> int:
    """Number of finite codes that repeat another one: codes minus distinct codes; in [0, K - 1].

    Rows (K, D) are the same if all entries agree after rounding to multiples of ``tolerance``
    times the largest absolute entry of the codebook.
    """
    codes = finite_codes(codebook)
    step = tolerance * float(np.abs(codes).max(initial=0.0)) or 1.0
    rounded = np.rint(codes / step).astype(np.int64)
    return len(rounded) - len({row.tobytes() for row in rounded})


def tuple_metrics(tokens: ArrayLike, codebook_size: int) -> dict[str, float]:
    """How well items are told apart by all their tokens, as recommenders ask of residual codes.

    Args:
        tokens: (N, T) integers, a row for each item.
        codebook_size: K of each token.

    Returns:
        ``bits_per_item``: T log2 K; ``collision_rate``: 1 - (different rows) / N, in [0, 1);
        ``items_per_tuple``: N / (different rows), from 1; ``largest_tuple``: the most items that
        share all their tokens.
    """
    rows = np.asarray(tokens)
    _, shared = np.unique(rows, axis=0, return_counts=True)
    return {
        "bits_per_item": rows.shape[1] * math.log2(codebook_size),
        "collision_rate": 1 - len(shared) / len(rows),
        "items_per_tuple": len(rows) / len(shared),
        "largest_tuple": float(shared.max()),
    }


def psnr(mse: float) -> float:
    """Peak signal-to-noise ratio in dB of a mean squared error on [0, 1] pixels; inf at 0."""
    return -10 * math.log10(mse) if mse > 0 else math.inf


@overload
def codebook_metrics(
    tokens: Any, codebook_size: int, codebook: Any = ..., axis: int = ..., ignore: int | None = ...
) -> Metrics: ...
@overload
def codebook_metrics(
    tokens: Any, codebook_size: Sequence[int], codebook: Any = ..., axis: int = ...,
    ignore: int | None = ...,
) -> MetricsOfEach: ...  # fmt: skip
def codebook_metrics(
    tokens: Any,
    codebook_size: Any,
    codebook: Any = None,
    axis: int = -1,
    ignore: int | None = None,
) -> Metrics | MetricsOfEach:
    """Every metric of a codebook, by name; of several codebooks, a list with one such dict each.

    Arrays, lists and torch tensors are taken alike, see ``to_array``.

    Args:
        tokens: (N, h, w), (N, length) or (N,) integers in [0, K); with several codebooks one more
            axis, of length Q.
        codebook_size: K; for residual and other several codebooks the K of each, [1024, 256, 64].
        codebook: (K, D), adds ``effective_rank`` and ``duplicate_codes``, of the finite codes, and
            ``non_finite_codes`` if there are others; for several codebooks one such array each.
        axis: of several codebooks in ``tokens``; 0 for (Q, N, length).
        ignore: a value that is no token, padding, and not counted.

    Returns:
        ``perplexity``, ``perplexity_batch_mean`` (NaN without a full batch of rows, and for flat
        tokens), ``relative_perplexity``, ``usage``, ``dead_codes``, ``collapsed`` (0 or 1),
        ``unigram_entropy`` (nats).

    Raises:
        ValueError: no tokens, tokens that are not integers in [0, K), a codebook not (K, D), or
            another number of codebooks than of sizes.
        TypeError: a size that is no whole number.
    """
    array = to_array(tokens)
    if np.ndim(codebook_size) == 0:
        return Metrics(_metrics_of_one(array, operator.index(codebook_size), codebook, ignore))
    sizes = [operator.index(size) for size in codebook_size]
    if array.ndim < 2 or not -array.ndim <= axis < array.ndim or array.shape[axis] != len(sizes):
        raise ValueError(f"tokens {array.shape} have no axis {axis} of {len(sizes)} codebooks")
    vectors = [None] * len(sizes) if codebook is None else list(codebook)
    if len(vectors) != len(sizes):
        raise ValueError(f"{len(vectors)} codebooks are given, and {len(sizes)} sizes")
    parts = np.moveaxis(array, axis, 0)
    return MetricsOfEach(
        Metrics(_metrics_of_one(part, size, one, ignore))
        for part, size, one in zip(parts, sizes, vectors, strict=True)
    )


class Metrics(dict[str, float]):
    """The metrics of one codebook; a notebook shows them as a table."""

    def _repr_html_(self) -> str:
        return _html_table([self])


class MetricsOfEach(list[Metrics]):
    """Those of several codebooks, side by side in a notebook."""

    def _repr_html_(self) -> str:
        return _html_table(self)


def _html_table(columns: Sequence[Mapping[str, float]]) -> str:
    """A line each metric, a column each codebook; what a codebook does not have is a dash."""
    names = dict.fromkeys(name for column in columns for name in column)
    head = "".join(f"<th>{place}</th>" for place in range(len(columns)))
    lines = "".join(
        f"<tr><th>{name.replace('_', ' ')}</th>"
        + "".join(f"<td>{_shown(name, column.get(name, math.nan))}</td>" for column in columns)
        + "</tr>"
        for name in names
    )
    return f"<table><thead><tr><th>codebook</th>{head}</tr></thead><tbody>{lines}</tbody></table>"


def _shown(name: str, value: float) -> str:
    if math.isnan(value):
        return "–"
    if name == "collapsed":
        return "yes" if value else "no"
    if name in ("usage", "relative_perplexity"):
        return f"{100 * value:.1f} %"
    return f"{value:,.0f}" if value.is_integer() else f"{value:,.4g}"


def _metrics_of_one(
    tokens: NDArray[Any], codebook_size: int, codebook: Any, ignore: int | None
) -> dict[str, float]:
    values = count_metrics(counts(tokens, codebook_size, ignore))
    values["perplexity_batch_mean"] = perplexity_batch_mean(tokens, codebook_size, ignore=ignore)
    if codebook is None:
        return values
    vectors = to_array(codebook)
    if vectors.ndim != 2 or len(vectors) != codebook_size or not vectors.size:
        raise ValueError(f"codebook has shape {vectors.shape}, not ({codebook_size}, D)")
    return values | vector_metrics(vectors)


def count_metrics(counts: Counts) -> dict[str, float]:
    """The part of ``codebook_metrics`` that pooled counts (K,) decide."""
    return {
        "perplexity": perplexity(counts),
        "relative_perplexity": relative_perplexity(counts),
        "usage": usage(counts),
        "dead_codes": float(dead_codes(counts)),
        "collapsed": float(collapsed(counts)),
        "unigram_entropy": entropy(counts),
    }


def vector_metrics(codebook: ArrayLike) -> dict[str, float]:
    """The part of ``codebook_metrics`` that the vectors (K, D) decide."""
    codes = finite_codes(codebook)
    values = {
        "effective_rank": effective_rank(codes),
        "duplicate_codes": float(duplicate_codes(codes)),
    }
    if lost := np.shape(codebook)[0] - len(codes):
        values["non_finite_codes"] = float(lost)
    return values
