"""The polynomials against mpmath and torch's float64, as compiled code takes them."""

import mpmath  # comes with torch
import pytest
import torch

from collapsebench.ops import gammas

X = [1.0, 1.001, 1.4616, 2.0, 3.7, 9.99, 10.01, 57.0, 1e3, 1e6, 4.85e8]  # up to the clamp, e^20
SPREAD = 1 + torch.linspace(-12, 20, 5000).exp()


@pytest.fixture(autouse=True)
def compiled_code(monkeypatch):
    monkeypatch.setattr(gammas, "compiled", lambda x: x.dtype == torch.float32)


def exact(function, x):
    with mpmath.workdps(30):
        return float(function(mpmath.mpf(x)))


def tangent(x):
    return mpmath.loggamma(x) - (x - 1) * mpmath.psi(0, x) + x


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (gammas.lgamma, mpmath.loggamma),
        (gammas.digamma, lambda x: mpmath.psi(0, x)),
        (gammas.trigamma, lambda x: mpmath.psi(1, x)),
        (lambda x: gammas.tangent(x, 1), tangent),
        (lambda x: gammas.tangent_slope(x, 1), lambda x: 1 - (x - 1) * mpmath.psi(1, x)),
    ],
    ids=["lgamma", "digamma", "trigamma", "tangent", "tangent_slope"],
)
def test_at_single_points(ours, theirs):
    x = torch.tensor(X)
    expected = [exact(theirs, value) for value in x.tolist()]  # as float32 has them
    assert ours(x).tolist() == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_log_gamma_of_one_is_exactly_zero():
    assert gammas.lgamma(torch.ones(1)).tolist() == [0.0]


def test_over_the_whole_range_they_agree_with_torch_in_float64():
    x = SPREAD.double()
    torch.testing.assert_close(gammas.lgamma(SPREAD).double(), x.lgamma(), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(gammas.digamma(SPREAD).double(), x.digamma(), rtol=1e-6, atol=1e-6)
    trigamma = gammas.trigamma(SPREAD).double()
    torch.testing.assert_close(trigamma, torch.polygamma(1, x), rtol=1e-6, atol=0)


def test_what_is_not_compiled_takes_torchs_functions(monkeypatch):
    monkeypatch.undo()
    assert torch.equal(gammas.lgamma(SPREAD), SPREAD.lgamma())
    assert torch.equal(gammas.digamma(SPREAD), SPREAD.digamma())
    assert torch.equal(gammas.trigamma(SPREAD), torch.polygamma(1, SPREAD))


def test_a_nan_stays():
    x = torch.tensor([2.0, float("nan")])
    assert gammas.trigamma(x).isnan().tolist() == [False, True]


def test_polynomial_by_hand():
    assert gammas.polynomial(torch.tensor([0.0, 2.0]), (1.0, 3.0, 5.0)).tolist() == [1.0, 27.0]
