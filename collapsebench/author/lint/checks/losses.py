"""What the loss pulls, how strongly, and whether it is a mean."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import torch
from torch import Tensor

from collapsebench.author.lint.checks.gradients import SURE, training_shows
from collapsebench.author.lint.checks.registry import check
from collapsebench.author.lint.findings import Verdict, cannot, failed, note, ok
from collapsebench.author.lint.subject import Subject, all_codes, is_wrapped, shown, table, tables
from collapsebench.author.lint.training import answering, trained
from collapsebench.plan import lookup
from collapsebench.plan.wrapped import copied
from collapsebench.quantizer import Quantized, Quantizer

LEAST = 1e-3  # a weight below it is none
NEARBY = 0.9  # share of codes that must answer with their own token for distances to mean something
MOVES_Z = "the codes do not learn: see there; what should move them moves z instead"
WEIGHTS = re.compile(r"beta|commit", re.IGNORECASE)


@check("commitment pulls z to its code", "the gradient of the loss at z points from z's code to z")
def commitment(subject: Subject) -> Verdict:
    """Its presence, its direction, and whether its weight arrives."""
    if subject.codebooks == 0:
        return ok()
    if subject.means("no commitment"):
        return ok()
    if is_wrapped(subject) and not subject.sample.roles.losses:  # type: ignore[union-attr]
        text = "no loss was found in what it returns"
        return note(text) if subject.fixed else cannot(f"{text}; --outputs loss=PLACE names it")
    pulls = [
        _pull(trained(subject, seed).quantizer, subject.inputs(seed + 7)) for seed in subject.seeds
    ]
    if all(pull is None for pull in pulls):
        return _missing(subject)
    if weight := _lost_weight(subject):
        return failed(
            f"{weight} does not arrive: loss and gradient are the same at twice its value",
            "the weight is taken, and not passed on",
        )
    against = all(pull is not None and pull < -SURE for pull in pulls)
    if not against or subject.fixed or answering(subject) < NEARBY:
        return ok()
    if subject.failed("codebook_learns"):
        return cannot(MOVES_Z)
    return failed("the loss pushes z away from its code", "a sign, or the sides exchanged")


def _pull(quantizer: Quantizer, z: Tensor) -> float | None:
    """Standard errors by which the loss pulls z to its code; None where it has no gradient at z."""
    gradient, output = loss_gradient(quantizer, z)
    if gradient is None or not gradient.any():
        return None
    if z.shape != output.z_q.shape:
        return 0.0
    along = (gradient * (z - shown(quantizer, z).z_q)).sum(1).flatten()
    return float(along.mean() / (along.std() / len(along) ** 0.5 + 1e-20))


def loss_gradient(quantizer: Quantizer, z: Tensor) -> tuple[Tensor | None, Quantized]:
    """Gradient of the method's own loss at z in training, None if it has none there."""
    leaf = z.clone().requires_grad_()
    torch.manual_seed(0)
    output = copied(quantizer).train()(leaf.clone())
    if not output.loss.requires_grad:
        return None, output
    return torch.autograd.grad(output.loss, leaf, allow_unused=True)[0], output


def _missing(subject: Subject) -> Verdict:
    seed = subject.seeds[0]
    gradient, _ = loss_gradient(trained(subject, seed).quantizer, subject.inputs(seed + 7))
    if gradient is not None and subject.failed("codebook_learns"):  # two terms that cancel
        return cannot(MOVES_Z)
    if subject.fixed:
        return note(f"the loss does not pull z anywhere; {subject.fixed}")
    kind, text = training_shows(subject)
    if kind in ("noise", "mixture"):
        return note(f"the loss does not pull z anywhere; {text}")
    return failed(
        "the loss has no gradient at z",
        "the commitment is missing, weighed by 0, or computed on a detached z",
    )


def _lost_weight(subject: Subject) -> str:
    """The name of a weight of the commitment whose value changes nothing."""
    if subject.instance is not None:
        return ""
    settings = subject.settings
    for f in dataclasses.fields(settings):
        value = getattr(settings, f.name)
        if (
            WEIGHTS.search(f.name)
            and isinstance(value, int | float)
            and not isinstance(value, bool)
        ):
            doubled = dataclasses.replace(settings, **{f.name: 2 * value or 1.0})
            if all(_same_loss(subject, doubled, seed) for seed in subject.seeds):
                return f"{f.name} = {value:g}"
    return ""


def _same_loss(subject: Subject, other: Any, seed: int) -> bool:
    z = subject.inputs(seed)
    found = []
    for settings in (subject.settings, other):
        quantizer = dataclasses.replace(subject, settings=settings).make(seed)
        gradient, output = loss_gradient(quantizer, z)
        found.append((output.loss.detach(), z.new_zeros(()) if gradient is None else gradient))
    return all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@check("which side beta weighs", "VQ-VAE's paper: the codebook by 1, the commitment by beta")
def beta_side(subject: Subject) -> Verdict:
    """The two weights, in units of a mean squared error over all elements."""
    if subject.codebooks != 1 or subject.fixed or answering(subject) < NEARBY:
        return ok()
    seed = subject.seeds[0]
    quantizer, z = trained(subject, seed).quantizer, subject.inputs(seed + 7)
    gradient, output = loss_gradient(quantizer, z)
    if gradient is None or not gradient.any() or z.shape != output.z_q.shape:
        return ok()
    off = z - shown(quantizer, z).z_q
    pull = float((gradient * off).sum() * z.numel() / (2 * off.square().sum()))
    if subject.means("loss is a sum") or pull < LEAST or not _is_looked_up(quantizer):
        return ok()
    codebook = _codebook_weight(quantizer, z)
    if codebook is None:
        return note(f"{pull:.2g} commitment; the codebook is not trained by the loss")
    smaller = "commitment, as in VQ-VAE's paper" if pull < codebook else "codebook side"
    side = f"beta weighs the {smaller}" if abs(pull - codebook) > 0.01 else "both weigh alike"
    return note(f"{side}: {codebook:.2g} codebook, {pull:.2g} commitment")


def _is_looked_up(quantizer: Quantizer) -> bool:
    """Whether a token's vector is its row of the codebook, as it lies there."""
    rows, codes = table(quantizer), all_codes(quantizer)
    if rows is None or codes is None or rows.shape != codes.shape:
        return False
    return torch.allclose(rows, codes)


def _codebook_weight(quantizer: Quantizer, z: Tensor) -> float | None:
    own = copied(quantizer).train()
    codes = [t for t in tables(own).values() if t.requires_grad and t.shape[-1] == z.shape[1]]
    output = own(z.clone())
    if len(codes) != 1 or not output.loss.requires_grad:
        return None
    gradient = torch.autograd.grad(output.loss, lookup.kept_in(codes[0]), allow_unused=True)[0]
    rows = table(own)
    if gradient is None or rows is None or not gradient.any():
        return None
    flat = z.permute(0, 2, 3, 1).flatten(0, 2)
    counts = output.tokens.flatten().bincount(minlength=len(rows))[:, None]
    sums = torch.zeros_like(rows).index_add_(0, output.tokens.flatten(), flat)
    off = counts * rows - sums
    if gradient.shape != codes[0].shape:
        gradient = gradient.t()
    gradient = gradient.reshape(rows.shape)
    return float((gradient * off).sum() * z.numel() / (2 * off.square().sum()))


@check(
    "the loss does not depend on batch size or length beyond the mean",
    "the same vectors twice, as samples or as positions, give the same loss",
    optional=True,
)
def loss_scale(subject: Subject) -> Verdict:
    """The loss of a batch, and of the batch and its positions repeated."""
    if subject.means("loss is a sum"):
        return ok()
    growths: dict[str, list[float]] = {"batch": [], "length": []}
    for seed in subject.seeds:
        quantizer, z = trained(subject, seed).quantizer, subject.inputs(seed + 7)
        base = _loss(quantizer, z)
        if abs(base) < 1e-12:
            return ok()
        growths["batch"].append(_loss(quantizer, torch.cat([z, z])) / base)
        growths["length"].append(_loss(quantizer, torch.cat([z, z], 2)) / base)
    for name, ratios in growths.items():
        if all(not 0.8 < ratio < 1.25 for ratio in ratios):
            return failed(
                f"at twice the {name} it is {sum(ratios) / len(ratios):.3g} times as large",
                f"a sum over the {name}, or a mean over another axis",
            )
    if is_wrapped(subject) and subject.sample.roles.per_sample:  # type: ignore[union-attr]
        return note("it comes as one entry per sample: take its mean")
    return ok()


def _loss(quantizer: Quantizer, z: Tensor) -> float:
    torch.manual_seed(0)
    with torch.enable_grad():
        return float(copied(quantizer).train()(z.clone().requires_grad_().clone()).loss.detach())
