"""The one place where noise is drawn: every random draw of a method's forward or update."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

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
