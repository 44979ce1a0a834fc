"""Distributions over codes: their entropies and divergences, one number per position."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from collapsebench.ops import gammas

DENSE = 2**12  # codes; up to here a probability for each of them at each position is affordable


def relaxed_one_hot(logits: Tensor, gumbel: Tensor, temperature: Tensor) -> Tensor:
    """Gumbel-softmax, softmax((logits + gumbel) / temperature) over the last axis."""
    return (logits + gumbel).div_(temperature).softmax(-1)


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
