"""A subject in training: one step after another, as a trainer takes them."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from collapsebench.author.lint.subject import LATE, Subject, all_codes, shown
from collapsebench.plan.wrapped import copied
from collapsebench.quantizer import Quantized, Quantizer

RATE = 1e-2  # Adam's


class Training:
    """A subject in training, one step after another, as a trainer takes them.

    Attributes:
        quantizer: the instance.
        steps: how many were taken.
    """

    def __init__(self, subject: Subject, seed: int, quantizer: Quantizer | None = None):
        self.subject, self.seed = subject, seed
        self.quantizer = quantizer or subject.make(seed)
        groups = [g for g in self.quantizer.parameter_groups(RATE) if g["params"]]
        self.optimizer = torch.optim.Adam(groups) if groups else None
        self.steps = 0
        self.on_gradients: Callable[[], None] = lambda: None

    def start(self, z: Tensor) -> Training:
        """``initialize`` on a first batch, and one step on it."""
        with torch.no_grad():
            self.quantizer.initialize(z.clone())
        self.step(z)
        return self

    def step(self, z: Tensor) -> Quantized:
        """Reconstructs ``z`` itself, a fixed image of it if the vectors have another dimension."""
        self.quantizer.anneal(torch.tensor(LATE + self.steps))
        if self.optimizer:
            self.optimizer.zero_grad(set_to_none=True)
        leaf = z.clone().requires_grad_()
        output = self.quantizer(leaf.clone())  # what an encoder gives is no leaf
        target = self.target(z, output.z_q.shape[1])
        loss = functional.mse_loss(output.z_q, target) + output.loss
        if loss.requires_grad:
            loss.backward()
        self.on_gradients()
        if self.optimizer:
            self.optimizer.step()
        with torch.no_grad():
            self.quantizer.update(z.clone(), output.tokens)
        self.steps += 1
        return output

    def target(self, z: Tensor, channels: int) -> Tensor:
        """What the decoder would make of the vectors: ``z``, or an image of it (B, D, H, W)."""
        if z.shape[1] == channels:
            return z
        generator = torch.Generator().manual_seed(self.seed)
        mixing = torch.randn(channels, z.shape[1], generator=generator) / math.sqrt(z.shape[1])
        return torch.einsum("dc,bchw->bdhw", mixing, z)


def trained(subject: Subject, seed: int) -> Training:
    """A subject after its start and two steps on normal inputs; a copy, made once for each seed."""
    if seed not in subject.kept:
        training = Training(subject, seed).start(subject.inputs(seed))
        for step in (1, 2):
            training.step(subject.inputs(seed + 100 * step))
        subject.kept[seed] = training.quantizer
    return Training(subject, seed, copied(subject.kept[seed]))


def answering(subject: Subject) -> float:
    """Share of codes that, given as input, get their own token: 1 for a nearest-code search."""
    shares = [_answering(trained(subject, seed).quantizer) for seed in subject.seeds]
    return sum(shares) / len(shares)


def _answering(quantizer: Quantizer) -> float:
    codes = all_codes(quantizer)
    if quantizer.codebooks != 1 or codes is None or codes.shape[1] != quantizer.encoder_channels:
        return 0.0
    given = codes.t().reshape(1, codes.shape[1], 1, -1)
    answers = shown(quantizer, given).tokens.flatten()
    return float((answers == torch.arange(len(codes))).float().mean())
