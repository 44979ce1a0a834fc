"""Vectors, codebooks and tokens: layouts, distances, look-ups, sums per code, digits of codes."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from collapsebench.ops.noise import normal_like, permutation, uniform_like


def channels_last(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H, W, C), a view."""
    return x.permute(0, 2, 3, 1)


def channels_first(x: Tensor) -> Tensor:
    """(B, H, W, C) -> (B, C, H, W), a view."""
    return x.permute(0, 3, 1, 2)


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


# --- codes that are digits: a token's D digits are its code, no (K, D) tensor exists


def digits_of(tokens: Tensor, bases: Tensor) -> Tensor:
    """Digits (..., D) of ``tokens`` (...) in the bases (D,), all int64; the first has weight 1."""
    return tokens.unsqueeze(-1) // _weights(bases) % bases


def tokens_of(digits: Tensor, bases: Tensor) -> Tensor:
    """The tokens (...) int64 whose digits (..., D) are given: the inverse of ``digits_of``."""
    return (digits * _weights(bases)).sum(-1)


def _weights(bases: Tensor) -> Tensor:
    return bases.cumprod(0) // bases
