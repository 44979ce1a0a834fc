"""Whether the decoder's gradient reaches the encoder, and what the decoder sees in training."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from collapsebench.author.lint.checks.registry import check
from collapsebench.author.lint.findings import Verdict, failed, note, ok
from collapsebench.author.lint.subject import Subject, shown
from collapsebench.author.lint.training import trained
from collapsebench.plan.wrapped import copied
from collapsebench.quantizer import Quantizer

SURE = 4.0  # standard errors
EQUAL = 1e-4  # of the vectors' size: rounding of z + (q - z)


@check(
    "the encoder gets a gradient through what the decoder sees",
    "every sample has a gradient, and a step against it moves what the decoder sees with it",
)
def encoder_gradient(subject: Subject) -> Verdict:
    """Its presence, its sign, and whether training shows the decoder the code."""
    slopes = []
    for seed in subject.seeds:
        quantizer = trained(subject, seed).quantizer
        z = subject.inputs(seed + 7)
        gradient, weights = _decoder_gradient(quantizer, z, seed)
        if fault := _absent(gradient):
            return fault
        assert gradient is not None
        slopes.append(_slope(quantizer, z, gradient, weights))
    if all(slope > SURE for slope in slopes):
        return failed(
            f"a step against it moves what the decoder sees the wrong way "
            f"({min(slopes):.0f} standard errors)",
            "a minus in the straight-through term",
        )
    return _what_training_shows(subject)


def _decoder_gradient(quantizer: Quantizer, z: Tensor, seed: int) -> tuple[Tensor | None, Tensor]:
    leaf = z.clone().requires_grad_()
    z_q = copied(quantizer).train()(leaf.clone()).z_q
    weights = torch.randn(z_q.shape, generator=torch.Generator().manual_seed(seed))
    if not z_q.requires_grad:
        return None, weights
    return torch.autograd.grad((z_q * weights).sum(), leaf, allow_unused=True)[0], weights


def _absent(gradient: Tensor | None) -> Verdict | None:
    if gradient is None or not gradient.any():
        return failed(
            "none reaches z through what the decoder sees",
            "z_q is detached, or the straight-through term is missing",
        )
    if not gradient.isfinite().all():
        return failed("it is not finite", "a division by a distance that is 0")
    empty = int((gradient.flatten(1).abs().sum(1) == 0).sum())
    if empty:
        return failed(
            f"{empty} of {len(gradient)} samples get none",
            "the straight-through term reaches a part of the batch",
        )
    return None


def _slope(quantizer: Quantizer, z: Tensor, gradient: Tensor, weights: Tensor) -> float:
    """By how many standard errors a step against the gradient moves z_q along the weights."""
    step = functional.normalize(gradient, dim=1) * z.norm(dim=1, keepdim=True)
    moved = shown(quantizer, z - step).z_q - shown(quantizer, z).z_q
    along = (moved * weights).sum(1).flatten()
    return float(along.mean() / (along.std() / len(along) ** 0.5 + 1e-12))


def _what_training_shows(subject: Subject) -> Verdict:
    if subject.codebooks == 0:
        return ok()
    kind, text = training_shows(subject)
    if kind == "code" or subject.means("noise in training"):
        return ok()
    return (
        note(text)
        if kind in ("noise", "mixture")
        else failed(text, "a sign or a factor in the straight-through term")
    )


def training_shows(subject: Subject) -> tuple[str, str]:
    """What the decoder sees in training: code, noise, mixture or another vector; and the words."""
    kinds = [
        _shows(trained(subject, seed).quantizer, subject.inputs(seed + 9)) for seed in subject.seeds
    ]
    kind = max(set(kinds), key=kinds.count)
    return kind, {
        "code": "",
        "noise": "training shows the decoder something random, not the code of evaluation",
        "mixture": "training shows the decoder another vector than the code of evaluation",
        "other": "training shows the decoder a vector that is further from its code than z itself",
    }[kind]


def _shows(quantizer: Quantizer, z: Tensor) -> str:
    outputs = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        with torch.no_grad():
            outputs.append(copied(quantizer).train()(z.clone()))
    evaluated = shown(quantizer, z)
    if not torch.equal(outputs[0].z_q, outputs[1].z_q):
        return "noise"
    off = (outputs[0].z_q - evaluated.z_q).square().sum(1)
    size = float(evaluated.z_q.square().sum(1).mean()) + 1e-12
    if float(off.mean()) < EQUAL * size:
        return "code"
    if z.shape != evaluated.z_q.shape or float(off.mean()) < 1.2 * float(
        (z - evaluated.z_q).square().sum(1).mean()
    ):
        return "mixture"
    return "other"
