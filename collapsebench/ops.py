"""Pure tensor functions that several methods share, and the one place where noise is drawn.

Methods work channel-last: ``channels_last`` turns (B, C, H, W) into a (B, H, W, C) view, free of
copies when the networks run in torch's channels_last memory format.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from collapsebench import gammas

# --- noise: every random draw of a method's forward or update comes from here

_recorded: deque[Tensor] | None = None


@contextmanager
def replayed_noise(draws: Iterable[Tensor]) -> Iterator[None]:
    """Inside the block, the functions below return copies of ``draws`` one after the other.

    Raises:
        RuntimeError: a draw of another shape than asked for, one too few or one too many.
    """
    global _recorded
    outer, _recorded = _recorded, deque(draws)
    try:
        yield
        if _recorded:
            raise RuntimeError(f"{len(_recorded)} recorded draws were not used")
    finally:
        _recorded = outer


def _draw(shape: torch.Size, sample: Callable[[], Tensor]) -> Tensor:
    if _recorded is None:
        return sample()
    if not _recorded:
        raise RuntimeError(f"no recorded draw left for shape {tuple(shape)}")
    noise = _recorded.popleft()
    if noise.shape != shape:
        raise RuntimeError(f"recorded draw {tuple(noise.shape)}, asked for {tuple(shape)}")
    return noise.clone()  # the caller may overwrite what it drew


def uniform_like(x: Tensor) -> Tensor:
    """U[0, 1) noise of the shape of ``x``."""
    return _draw(x.shape, lambda: torch.rand(x.shape, dtype=x.dtype, device=x.device))


def normal_like(x: Tensor, std: float = 1.0) -> Tensor:
    """N(0, std^2) noise of the shape of ``x``."""
    return _draw(x.shape, lambda: torch.randn(x.shape, dtype=x.dtype, device=x.device) * std)


def exponential_like(x: Tensor) -> Tensor:
    """Exp(1) noise of the shape of ``x``, in (0, inf]."""

    def sample() -> Tensor:  # on a CPU several times faster than Tensor.exponential_
        return torch.rand(x.shape, dtype=x.dtype, device=x.device).log_().neg_()

    return _draw(x.shape, sample)


def gumbel_like(x: Tensor) -> Tensor:
    """Standard Gumbel noise of the shape of ``x``: the negative logarithm of Exp(1) noise."""
    return exponential_like(x).log_().neg_()


def permutation(n: int, device: torch.device) -> Tensor:
    """A random order of 0 ... n - 1, (n,) int64."""
    # argsort, unlike randperm, can be captured in a CUDA graph.
    return _draw(torch.Size([n]), lambda: torch.rand(n, device=device).argsort())


def integers(count: int, below: int, device: torch.device) -> Tensor:
    """Independent uniform draws of 0 ... below - 1, (count,) int64."""
    return _draw(torch.Size([count]), lambda: torch.randint(below, (count,), device=device))


def multinomial(weights: Tensor, count: int) -> Tensor:
    """Independent draws of 0 ... N - 1 in proportion to ``weights`` (..., N) -> (..., count) int64.

    Args:
        weights: none negative, some positive in each row; they need not sum to 1.
        count: draws per row, with replacement.
    """
    shape = torch.Size([*weights.shape[:-1], count])
    return _draw(shape, lambda: torch.multinomial(weights, count, replacement=True))


# --- layout


def channels_last(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H, W, C), a view."""
    return x.permute(0, 2, 3, 1)


def channels_first(x: Tensor) -> Tensor:
    """(B, H, W, C) -> (B, C, H, W), a view."""
    return x.permute(0, 3, 1, 2)


# --- codes


def random_codebook(kind: str, codebook_size: int, code_dim: int) -> Tensor:
    """A fresh (K, D) codebook.

    Args:
        kind: "normal" N(0, 1); "uniform" U(-1/K, 1/K); "sonnet" U(-sqrt(3/D), sqrt(3/D));
            "fan_in" U(-sqrt(3/K), sqrt(3/K)).
        codebook_size: K.
        code_dim: D.
    """
    if kind == "normal":
        return torch.randn(codebook_size, code_dim)
    bounds = {
        "uniform": 1 / codebook_size,
        "sonnet": math.sqrt(3 / code_dim),
        "fan_in": math.sqrt(3 / codebook_size),
    }
    return torch.empty(codebook_size, code_dim).uniform_(-bounds[kind], bounds[kind])


def squared_distances(z: Tensor, codebook: Tensor) -> Tensor:
    """Squared Euclidean distances of ``z`` (..., D) to all codes (K, D) -> (..., K)."""
    return z.square().sum(-1, keepdim=True) + _distances_less_norm(z, codebook)


def nearest(z: Tensor, codebook: Tensor) -> Tensor:
    """Index of the nearest code of each ``z`` (..., D) -> (...) int64; ties take the lowest."""
    with torch.no_grad():
        return _distances_less_norm(z, codebook).argmin(-1)


def _distances_less_norm(z: Tensor, codebook: Tensor) -> Tensor:
    # ||z||^2 is the same for all codes of a position, so the nearest one does not need it.
    flat = z.reshape(-1, z.shape[-1])
    distances = torch.addmm(codebook.square().sum(-1), flat, codebook.t(), alpha=-2)
    return distances.view(*z.shape[:-1], codebook.shape[0])


def lookup(codebook: Tensor, tokens: Tensor) -> Tensor:
    """Rows of the codebook (K, D) at ``tokens`` (B, H, W) -> (B, D, H, W)."""
    return channels_first(functional.embedding(tokens, codebook))


def straight_through(z_e: Tensor, z_q: Tensor) -> Tensor:
    """Exactly the value of ``z_q``, with the gradient of ``z_e``."""
    return z_q.detach() + (z_e - z_e.detach())


def counts_and_sums(z: Tensor, tokens: Tensor, codebook_size: int) -> tuple[Tensor, Tensor]:
    """How many vectors each code won, (K,), and their sum, (K, D).

    Args:
        z: (..., D) vectors.
        tokens: (...) the code each of them was given.
        codebook_size: K.
    """
    flat, index = z.reshape(-1, z.shape[-1]), tokens.reshape(-1)
    counts = z.new_zeros(codebook_size).index_add_(0, index, torch.ones_like(flat[:, 0]))
    sums = z.new_zeros(codebook_size, z.shape[-1]).index_add_(0, index, flat)
    return counts, sums


def smoothed_counts(counts: Tensor, epsilon: float) -> Tensor:
    """Laplace smoothing that keeps the sum N: N (n + epsilon) / (N + K epsilon), (K,)."""
    total = counts.sum()
    return (counts + epsilon) / (total + len(counts) * epsilon) * total


def batch_vectors(z: Tensor, count: int) -> Tensor:
    """Random rows of ``z`` (M, D), each at most once -> (count, D).

    With fewer rows than ``count``, ``z`` is first tiled and jittered by N(0, (0.01 / sqrt(D))^2):
    openai/jukebox 08efbbc, jukebox/vqvae/bottleneck.py, BottleneckBlock.
    """
    if len(z) < count:
        z = z.repeat(-(-count // len(z)), 1)
        z = z + normal_like(z) * (0.01 / math.sqrt(z.shape[1]))
    return z[permutation(len(z), z.device)[:count]]


def kmeans(points: Tensor, clusters: int, iterations: int = 10) -> Tensor:
    """(clusters, D) centres of ``points`` (N, D): k-means++ seeds, then Lloyd's iterations.

    With fewer points than clusters, points repeat.
    """
    draws = uniform_like(points.new_empty(clusters))
    centres = points[(draws[:1] * len(points)).long()].expand(clusters, -1).clone()
    distances = points.new_full((len(points),), math.inf)
    for i in range(1, clusters):
        distances = torch.minimum(distances, (points - centres[i - 1]).square().sum(-1))
        mass = distances.double().cumsum(0)
        centres[i] = points[
            torch.searchsorted(mass, draws[i] * mass[-1]).clamp(max=len(points) - 1)
        ]
    return lloyd(points, centres, iterations)


def lloyd(points: Tensor, centres: Tensor, iterations: int) -> Tensor:
    """Centres (K, D) after iterations of k-means; one that loses all its points stays."""
    for _ in range(iterations):
        counts, sums = counts_and_sums(points, nearest(points, centres), len(centres))
        centres = torch.where(counts[:, None] > 0, sums / counts[:, None].clamp(min=1), centres)
    return centres


def relaxed_one_hot(logits: Tensor, gumbel: Tensor, temperature: Tensor) -> Tensor:
    """Gumbel-softmax, softmax((logits + gumbel) / temperature) over the last axis."""
    return (logits + gumbel).div_(temperature).softmax(-1)


# --- codes that are digits: a token's D digits are its code, no (K, D) tensor exists

DENSE = 2**12  # codes; up to here a probability for each of them at each position is affordable


def digits_of(tokens: Tensor, bases: Tensor) -> Tensor:
    """Digits (..., D) of ``tokens`` (...) in the bases (D,), all int64; the first has weight 1."""
    return tokens.unsqueeze(-1) // _weights(bases) % bases


def tokens_of(digits: Tensor, bases: Tensor) -> Tensor:
    """The tokens (...) int64 whose digits (..., D) are given: the inverse of ``digits_of``."""
    return (digits * _weights(bases)).sum(-1)


def _weights(bases: Tensor) -> Tensor:
    return bases.cumprod(0) // bases


def code_probabilities(log_odds: Tensor) -> Tensor:
    """Probabilities of the 2^D codes whose D bits are independent -> (..., 2^D).

    Args:
        log_odds: (..., D), ln(p / (1 - p)) of each bit being one; the first has weight 1.
    """
    probabilities = log_odds.new_ones(*log_odds.shape[:-1], 1)
    for bit in log_odds.unsqueeze(-1).unbind(-2):
        halves = (probabilities * (-bit).sigmoid(), probabilities * bit.sigmoid())
        probabilities = torch.cat(halves, -1)
    return probabilities


# --- divergences, one number per position


def negative_entropy(logits: Tensor) -> Tensor:
    """sum_k p_k ln p_k of p = softmax(logits) over the last axis -> logits.shape[:-1]."""
    return _NegativeEntropy.apply(logits)


class _NegativeEntropy(torch.autograd.Function):
    """By hand only to spare half of autograd's passes: the gradient is p (ln p - entropy)."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor) -> Tensor:
        log_p = logits.log_softmax(-1)
        p = log_p.exp()
        found = (p * log_p).sum(-1)
        ctx.save_for_backward(p, log_p, found)
        return found

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Tensor:
        p, log_p, found = ctx.saved_tensors
        return (log_p - found.unsqueeze(-1)).mul_(p).mul_(upstream.unsqueeze(-1))


def categorical_kl(logits: Tensor) -> Tensor:
    """KL(softmax(logits) || uniform) over the last axis, in [0, ln K] -> logits.shape[:-1].

    The official dVAE code's form, finite at any logit: sum q ln(K q + 1e-10)
    (ituvisionlab/EdVAE dfcb50e, GumbelQuantizer).
    """
    q = logits.softmax(-1)
    return (q * torch.log(q * logits.shape[-1] + 1e-10)).sum(-1)


def dirichlet_kl(alpha: Tensor) -> Tensor:
    """KL(Dir(alpha) || Dir(1, ..., 1)) over the last axis -> alpha.shape[:-1].

    The order of operations is that of ``torch.distributions.kl_divergence``, so that float32
    gives the numbers of the authors' code, also where they are wrong: digammas of neighbouring
    large arguments cancel, and from a logit of about 18 on the gradient is noise.
    """
    return _DirichletKL.apply(alpha)


class _DirichletKL(torch.autograd.Function):
    """By hand only to spare autograd's second digamma of every element, the costliest part."""

    @staticmethod
    def forward(ctx: Any, alpha: Tensor) -> Tensor:
        total = alpha.sum(-1)
        digamma, total_digamma = gammas.digamma(alpha), gammas.digamma(total)
        ctx.save_for_backward(alpha, total, digamma, total_digamma)
        constant = gammas.lgamma(total) - math.lgamma(alpha.shape[-1])
        log_means = digamma - total_digamma.unsqueeze(-1)
        return constant - gammas.lgamma(alpha).sum(-1) + ((alpha - 1) * log_means).sum(-1)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Tensor:
        alpha, total, digamma, total_digamma = ctx.saved_tensors
        each = upstream.unsqueeze(-1)
        by_log_means = each * (alpha - 1)
        by_total = upstream * total_digamma - by_log_means.sum(-1) * gammas.trigamma(total)
        # The order of these four sums is autograd's: the cancelled digits depend on it.
        gradient = by_log_means * gammas.trigamma(alpha)
        gradient += each * (digamma - total_digamma.unsqueeze(-1))
        gradient -= each * digamma
        gradient += by_total.unsqueeze(-1)
        return gradient


def stable_dirichlet_kl(evidence: Tensor) -> Tensor:
    """The same divergence from the evidence e = alpha - 1, right at any size of it in float32.

    With G(x, n) = ln Gamma(x) - (x - n) psi(x) + x and S = sum alpha, the divergence is
    G(S, K) - ln Gamma(K) - sum_k G(alpha_k, 1), and no term of it grows faster than ln x once the
    Stirling series has cancelled the rest by hand. Its gradient is G'(S, K) - G'(alpha_k, 1).
    """
    return _StableDirichletKL.apply(evidence)


class _StableDirichletKL(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, evidence: Tensor) -> Tensor:
        ctx.save_for_backward(evidence)
        k = evidence.shape[-1]
        total = evidence.sum(-1) + k
        return gammas.tangent(total, k) - math.lgamma(k) - gammas.tangent(evidence + 1, 1).sum(-1)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Tensor:
        (evidence,) = ctx.saved_tensors
        k = evidence.shape[-1]
        summed = evidence.sum(-1, keepdim=True)
        alpha, total = evidence + 1, summed + k
        series = gammas.tangent_slope(total, k) - gammas.tangent_slope(alpha, 1)
        if gammas.compiled(alpha):
            return upstream.unsqueeze(-1) * series
        direct = evidence * torch.polygamma(1, alpha) - summed * torch.polygamma(1, total)
        return upstream.unsqueeze(-1) * torch.where(alpha < gammas.SERIES_FROM, direct, series)


# --- the entropy term: the mean entropy of rows p less the entropy of the mean row


def entropies(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Mean entropy of the rows p = softmax(logits), and entropy of the mean row; both 0-d.

    The first falls as each vector decides for one code, the second grows as the codes are used
    evenly; the entropy term is their difference, in [-ln K, 0] (google-research/maskgit 1db2359,
    libml/losses.py, whose 1e-5 inside the second logarithm is kept).

    Args:
        logits: (..., K).
    """
    mean = logits.softmax(-1).flatten(0, -2).mean(0)
    return -negative_entropy(logits).mean(), _smoothed_entropy(mean, 1e-5)


def bit_entropies(log_odds: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
    """The two entropies of codes with independent bits, without a (N, 2^D) tensor.

    The entropy of a row is the sum of its bits'. The mean row is a product of two matrices: the
    probabilities of the lower half of the bits, (2^(D/2), N), and those of the upper half.

    Args:
        log_odds: (..., N, D), of each bit of N positions; leading axes are groups of bits, whose
            entropies are added.
        smoothing: added inside the logarithm of the mean row.
    """
    positions, bits = log_odds.shape[-2:]
    rows = -negative_entropy(torch.stack([log_odds / 2, -log_odds / 2], -1)).sum() / positions
    lower, upper = log_odds.split([bits // 2, bits - bits // 2], -1)
    mean = code_probabilities(upper).mT @ code_probabilities(lower) / positions
    return rows, _smoothed_entropy(mean, smoothing)


def _smoothed_entropy(p: Tensor, smoothing: float) -> Tensor:
    return -(p * (p + smoothing).log()).sum()
