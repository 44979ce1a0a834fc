"""What is examined: how to make it anew, feed it, train it a step, and read its codes."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from collapsebench.author.lint.findings import FAILED, OK, LintFinding
from collapsebench.plan import lookup
from collapsebench.plan.wrapped import Wrapped, copied
from collapsebench.quantizer import Quantized, Quantizer

SEEDS = (1, 2, 3)  # a fault is one that shows on each of them
GRID = (8, 6, 10)  # B, H, W of an input: 480 vectors
LATE = 10_000.0  # of the paper's 150 000 steps: every weight is past its warm-up
CLUSTERS = 16


@dataclass(eq=False)
class Subject:
    """A method at the sizes at which it is examined; all its instances come from here.

    Attributes:
        method: its class; a module of another project is wrapped.
        size: (K, D).
        large: (K, D) with K above 256, where bfloat16 no longer holds every id; None if K is fixed.
        instance: a module that was built by the caller; copies of it are made then.
        mean, deviation: of the inputs, scalars or per channel.
        grid: B, H, W of the inputs.
        grid_given: the caller's example decides it.
        judged: the findings so far, by check.
        seeds: of weights and inputs.
        kept: seed -> an instance after a few steps, to be copied.
        request, module: how another process is told what to make.
    """

    name: str
    method: type[Quantizer]
    settings: Any
    size: tuple[int, int]
    large: tuple[int, int] | None = None
    instance: Quantizer | None = None
    mean: float = 0.0
    deviation: float = 1.0
    grid: tuple[int, int, int] = GRID
    grid_given: bool = False
    judged: dict[str, LintFinding] = field(default_factory=dict)
    seeds: tuple[int, ...] = SEEDS
    kept: dict[int, Quantizer] = field(default_factory=dict)
    request: Any = None
    module: nn.Module | None = None

    def make(self, seed: int, size: tuple[int, int] | None = None) -> Quantizer:
        """A fresh instance in training mode, late in its schedules."""
        torch.manual_seed(seed)
        if self.instance is not None:
            quantizer = copied(self.instance).train()
        else:
            quantizer = self.method(*(size or self.size), self.settings)
        quantizer.anneal(torch.tensor(LATE))
        return quantizer

    def on_every_seed(self, fault: Callable[[int], str]) -> str:
        """The first seed's fault if every seed has one; a clean seed ends the search."""
        first = ""
        for seed in self.seeds:
            found = fault(seed)
            if not found:
                return ""
            first = first or found
        return first

    @functools.cached_property
    def sample(self) -> Quantizer:
        """One instance to look at, never to train."""
        return self.make(self.seeds[0])

    @property
    def codebooks(self) -> int:
        """Q, tokens per position; 0 = it has no codes."""
        return self.sample.codebooks

    def means(self, purpose: str) -> bool:
        """Whether the method says that it does this on purpose."""
        return purpose in self.method.on_purpose

    def failed(self, *checks: str) -> bool:
        """Whether one of these checks found a fault."""
        return any(c in self.judged and self.judged[c].verdict == FAILED for c in checks)

    @property
    def does_not_run(self) -> bool:
        """Whether a plain training step failed."""
        return "runs" in self.judged and self.judged["runs"].verdict != OK

    # --- inputs, (B, C, H, W)

    def inputs(
        self, seed: int, grid: tuple[int, int, int] | None = None, channels: int = 0
    ) -> Tensor:
        """Normal vectors, all alike."""
        generator = torch.Generator().manual_seed(seed)
        batch, height, width = grid or self.grid
        shape = (batch, channels or self.sample.encoder_channels, height, width)
        return self.mean + self.deviation * torch.randn(shape, generator=generator)

    def clustered(
        self,
        seed: int,
        step: int,
        clusters: int = CLUSTERS,
        spread: float = 0.3,
        distance: float = 1.5,
        grid: tuple[int, int, int] | None = None,
    ) -> Tensor:
        """Vectors around a few centres; the centres are the seed's, the draw the step's."""
        generator = torch.Generator().manual_seed(1000 + seed)
        channels = self.sample.encoder_channels
        centres = distance * torch.randn(clusters, channels, generator=generator)
        generator.manual_seed(1_000_000 * (seed + 1) + step)
        shape = grid or self.grid
        chosen = torch.randint(clusters, shape, generator=generator)
        noise = spread * torch.randn(*shape, channels, generator=generator)
        z = (centres[chosen] + noise).permute(0, 3, 1, 2)
        return self.mean + self.deviation * z.contiguous()

    # --- codes

    @functools.cached_property
    def fixed(self) -> str:
        """Why its codes are not learned, or "": declared, computed from the token, or a lattice."""
        if self.means("codes are fixed"):
            return "its codes are fixed, on purpose"
        tables = lookup.codebook_tensors(self.sample, self.size[0])
        if not tables:
            return "its codes are computed from the token, not learned"
        every = all(is_lattice(t.reshape(-1, *t.shape[-2:])[0]) for t in tables.values())
        return "its codes are a lattice, not learned" if every else ""


def is_lattice(codes: Tensor) -> bool:
    """Whether codes (K, D) are all combinations of a few values per dimension."""
    values = [len(torch.unique((column * 1e4).round())) for column in codes.detach().float().t()]
    return math.prod(values) == len(codes)


def shown(quantizer: Quantizer, z: Tensor) -> Quantized:
    """What evaluation gives for ``z``, by a copy, so that nothing is changed."""
    with torch.no_grad():
        return copied(quantizer).eval()(z.clone())


def embedded(quantizer: Quantizer, tokens: Tensor) -> Tensor | None:
    """Vectors of tokens, by a copy; None if the subject has no way from one to the other."""
    if quantizer.codebooks == 0:
        return None
    try:
        with torch.no_grad():
            return copied(quantizer).eval().embed(tokens)
    except NotImplementedError:
        return None


def all_codes(quantizer: Quantizer) -> Tensor | None:
    """The vector (K, D) of each token; of several codebooks, with the same token in each."""
    tokens = torch.arange(quantizer.codebook_size).view(1, 1, -1)
    if quantizer.codebooks > 1:
        tokens = tokens.unsqueeze(-1).expand(-1, -1, -1, quantizer.codebooks)
    vectors = embedded(quantizer, tokens)
    return None if vectors is None else vectors[0, :, 0].t()


def tables(quantizer: Quantizer) -> dict[str, Tensor]:
    """Its codebooks by name, as they lie in memory."""
    return lookup.codebook_tensors(quantizer, quantizer.codebook_size)


def table(quantizer: Quantizer) -> Tensor | None:
    """The rows (R, D) of its codebooks as they lie in memory now, R = K or Q K; None if unknown."""
    count, size = max(quantizer.codebooks, 1), quantizer.codebook_size
    rows = [t.detach().reshape(-1, t.shape[-1]) for t in tables(quantizer).values()]
    if len({r.shape[1] for r in rows}) != 1:
        return None
    joined = torch.cat(rows)
    if len(joined) in (size, count * size):
        return joined
    return rows[0] if len(rows[0]) in (size, count * size) else None


def is_wrapped(subject: Subject) -> bool:
    """Whether it is a module of another project, not a method."""
    return issubclass(subject.method, Wrapped)
