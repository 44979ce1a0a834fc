"""The contract of a method: what a quantizer gets, what it gives back, and what it may override.

Conventions that hold for every method: images are in [0, 1]; tensors are channel-first, B images
of C channels on an H x W grid; K is the codebook size, D the code dimension; losses are means over
batch, positions and channels unless the method's docstring says otherwise; logarithms are natural.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

POWERS_OF_TWO = {2**dim: dim for dim in range(1, 63)}  # K -> D where a code is D signs


# What a method may do on purpose where lint would call it a fault.
PURPOSES = (
    "codes are fixed",
    "no commitment",  # nothing pulls z_e to its code
    "noise in training",  # the decoder sees something other than the code
    "revived codes move on",  # a replaced code does not stay where it was put
    "loss is a sum",  # over positions or samples
)


class Incompatible(ValueError):
    """Raised in a method's ``__init__`` when it cannot work at the sizes asked for.

    The job then becomes a row with status ``incompatible`` and this message as its reason.
    """


@dataclass(frozen=True)
class Quantized:
    """What a quantizer returns, always these four.

    Attributes:
        z_q: (B, D, H, W), what the decoder sees.
        tokens: (B, H, W) int64 in [0, K), or (B, H, W, Q) for a method with Q codebooks.
        loss: 0-d, the method's own loss, already weighted; the trainer adds it as it is.
        terms: detached 0-d tensors for the log (the unweighted parts of the loss, say).
    """

    z_q: Tensor
    tokens: Tensor
    loss: Tensor
    terms: dict[str, Tensor] = field(default_factory=dict)


class Quantizer(nn.Module):
    """Base of every method: a subclass writes ``__init__``, ``forward`` and ``embed``.

    A method whose code dimension follows from its codebook size (the signs of D numbers are 2^D
    codes) says so in ``sizes``; ``dim_for`` then names the D of a K, and ``__init__`` refuses
    every other pair.

    Class attributes:
        label: the printed name, "VQ-STE++".
        network: the network family of the method's own paper.
        implementation: bumped by hand whenever the method's numbers change; part of the job id.
        sources: packages whose code decides the result (methods given by path).
        codebooks: Q, tokens per position; 0 = no codes, the tokens stand for nothing. Where a
            setting decides it, the instance has its own.
        for_dataset: published per-dataset defaults of settings, {"celeba": {"beta": 1e-7}}.
        on_purpose: what lint would call a fault and the method means, of ``PURPOSES``.
        recordable: a step never waits for the GPU and, whatever changes from one to the next,
            runs the same kernels on the same tensors: a GPU may record it once and repeat that.
        compiles: its forward, compiled, was measured to be faster on a CPU (tests/speed), and
            touches no buffer.
    """

    label: ClassVar[str] = ""
    network: ClassVar[str] = "vqvae"
    implementation: ClassVar[int] = 1
    sources: ClassVar[tuple[str, ...]] = ()
    codebooks: int = 1
    for_dataset: ClassVar[dict[str, dict[str, Any]]] = {}
    on_purpose: ClassVar[frozenset[str]] = frozenset()
    recordable: ClassVar[bool] = False
    compiles: ClassVar[bool] = False

    @dataclass(frozen=True)
    class Settings:
        """At most 8 fields; every default names its source in a trailing comment."""

    def __init__(self, codebook_size: int, code_dim: int, settings: Any):
        """Refuses sizes that do not belong together, then remembers them.

        Raises:
            Incompatible: a K that ``sizes`` does not hold (the nearest are named), or a D that is
                not the K's.
        """
        super().__init__()
        possible = self.sizes(settings)
        if possible is not None and codebook_size not in possible:
            raise Incompatible(_impossible(self.label, codebook_size, possible))
        dim = self.dim_for(codebook_size, settings)
        if dim is not None and dim != code_dim:
            raise Incompatible(
                f"{self.label} of {codebook_size} codes has D = {dim}, not {code_dim}"
            )
        self.codebook_size = codebook_size
        self.code_dim = code_dim
        self.settings = settings

    @classmethod
    def sizes(cls, settings: Any) -> dict[int, int] | None:
        """Where K and D are tied: every K the method can have, with its D; None = all are free."""
        return None

    @classmethod
    def dim_for(cls, codebook_size: int, settings: Any = None) -> int | None:
        """The code dimension that belongs to a codebook size; None = free.

        Args:
            codebook_size: K. For one that the method cannot have, the answer is the D of the
                nearest that it can, the smaller of two: ``__init__`` is where K is refused.
            settings: the method's; None = its defaults.
        """
        possible = cls.sizes(cls.Settings() if settings is None else settings)
        if possible is None:
            return None
        return possible[min(sorted(possible), key=lambda size: abs(size - codebook_size))]

    @property
    def encoder_channels(self) -> int:
        """Channels the encoder must give: D here; K for methods that read logits."""
        return self.code_dim

    def initialize(self, z_e: Tensor) -> None:
        """Once, before the first step, on the encoder output of the first batch."""

    def anneal(self, t: Tensor) -> dict[str, Tensor]:
        """Sets what is scheduled and returns it for the log.

        Args:
            t: 0-d float tensor, the step rescaled to the paper's 150 000. A method writes the
                paper's numbers only; the trainer does the rescaling.
        """
        return {}

    def forward(self, z_e: Tensor) -> Quantized:
        """Quantizes ``z_e`` (B, ``encoder_channels``, H, W) float32; must not modify it."""
        raise NotImplementedError(f"{type(self).__name__} must define forward(z_e)")

    def update(self, z_e: Tensor, tokens: Tensor) -> None:
        """After the optimizer step, without gradients: moving averages, resets, codebook steps."""

    def embed(self, tokens: Tensor) -> Tensor:
        """Tokens, as ``forward`` gives them, -> z_q (B, D, H, W); in eval mode equal to its z_q."""
        raise NotImplementedError(f"{type(self).__name__} must define embed(tokens)")

    def reconstruction_loss(self, x_hat: Tensor, x: Tensor) -> Tensor:
        """0-d; the mean squared error per element unless the method defines another."""
        return functional.mse_loss(x_hat, x.to(x_hat.dtype))

    def posterior(self, z_e: Tensor) -> Tensor | None:
        """Token probabilities (B, K, H, W) given the encoder output; None if deterministic."""
        return None

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """Optimizer groups for this module's parameters; ``lr`` is the trainer's."""
        return [{"params": [p for p in self.parameters() if p.requires_grad], "lr": lr}]

    @classmethod
    def tiny(cls) -> tuple[int, int]:
        """(codebook_size, code_dim) that the shared contract test may use."""
        return 8, cls.dim_for(8) or 4

    def codes(self) -> Tensor | None:
        """The effective codebook, detached, for reports; None if it is implicit.

        (K, D), or (Q, K, D) for Q codebooks, whose codes at a position add up to its z_q.
        """
        codebook = getattr(self, "codebook", None)
        return codebook.detach() if isinstance(codebook, torch.Tensor) else None


def _impossible(label: str, codebook_size: int, possible: Iterable[int]) -> str:
    below = [size for size in possible if size < codebook_size]
    above = [size for size in possible if size > codebook_size]
    nearest = ", ".join(str(size) for size in sorted(below)[-1:] + sorted(above)[:1])
    return f"{label} cannot have {codebook_size} codes; the nearest it can have: {nearest}"
