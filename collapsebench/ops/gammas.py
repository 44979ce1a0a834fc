"""ln Gamma and its derivatives, as polynomials that a compiler turns into vector instructions.

torch computes the three functions element by element, half the time of an EdVAE quantizer. With
r = 1 / x and s = 1 - r, both in [0, 1] for x >= 1,

    psi(x)      = ln x - r (1/2 + r A(r))
    ln Gamma(x) = (x - 1/2) (ln x - 1) + 1/2 + s B(s)
    psi'(x)     = r (1 + r (1/2 + r C(r)))
    G(x, 1)     = 1 + 1/2 ln x + s D(s)
    G'(x, 1)    = r E(r)

where G is that of ``ops.stable_dirichlet_kl`` and A to E are polynomials: least-squares fits at
Chebyshev nodes, reweighted towards the smallest largest error (Stirling's series diverge near
x = 1). For float32 x >= 1 errors are at most 1e-6 of max(1, |value|). One by one such passes over
memory cost as much as torch's functions: what is not compiled takes those.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

A = (0.0832989138, 0.000434970754, -0.0103814477, 0.00461774537, -0.000754444729)
B = (-0.0772188925, -0.00470966096, 0.000220833303, 0.000582733806, 6.36017451e-05)
C = (0.166563496, 0.00154769562, -0.0419738488, 0.023020552, -0.00375364739, -0.000470334975)
D = (0.50001126, -0.0726499007, -0.00926930406, -0.00219954417, 0.00304580991)
E = (0.499999481, 0.33339379, 0.165512761, 0.0416623497, -0.0621111677, 0.025247182, -0.00370387769)

SERIES_FROM = 10.0  # where Stirling's series of three terms are exact to float32


def compiled(x: Tensor) -> bool:
    """Whether the polynomials take over: float32 in compiled code."""
    return torch.compiler.is_compiling() and x.dtype == torch.float32


def polynomial(x: Tensor, coefficients: Sequence[float]) -> Tensor:
    """The polynomial with these coefficients, that of x^0 first, by Horner's rule."""
    *lower, highest = coefficients
    value = x * highest
    for coefficient in reversed(lower[1:]):
        value = (value + coefficient) * x
    return value + lower[0]


def lgamma(x: Tensor) -> Tensor:
    """ln Gamma(x)."""
    if not compiled(x):
        return x.lgamma()
    return (x - 0.5) * (x.log() - 1) + polynomial(1 - 1 / x, (0.5, *B))


def digamma(x: Tensor) -> Tensor:
    """psi(x)."""
    if not compiled(x):
        return x.digamma()
    return x.log() - polynomial(1 / x, (0.0, 0.5, *A))


def trigamma(x: Tensor) -> Tensor:
    """psi'(x)."""
    if not compiled(x):
        return torch.polygamma(1, x)
    return polynomial(1 / x, (1.0, 0.5, *C)) / x


def tangent(x: Tensor, n: int) -> Tensor:
    """G(x, n) = ln Gamma(x) - (x - n) psi(x) + x, which grows as ln x: no large terms cancel."""
    if n == 1 and compiled(x):
        return 0.5 * x.log() + polynomial(1 - 1 / x, (1.0, *D))
    r = 1 / x
    stirling = r / 12 * (1 - r**2 / 30 * (1 - r**2 * 2 / 7))
    digamma_rest = r / 2 + r**2 / 12 * (1 - r**2 / 10 * (1 - r**2 * 10 / 21))  # ln x - psi(x)
    half_log_2pi = 0.5 * math.log(2 * math.pi)
    series = (n - 0.5) * x.log() + half_log_2pi + stirling + (x - n) * digamma_rest
    direct = x.lgamma() - (x - n) * x.digamma() + x
    return torch.where(x < SERIES_FROM, direct, series)


def tangent_slope(x: Tensor, n: int) -> Tensor:
    """G'(x, n) = 1 - (x - n) psi'(x), by the series of x psi'(x) - 1 or a polynomial."""
    if n == 1 and compiled(x):
        return polynomial(1 / x, E) / x
    r = 1 / x
    rest = r / 2 + r**2 / 6 * (1 - r**2 / 5 * (1 - r**2 * 5 / 7))
    return n * r * (1 + rest) - rest
