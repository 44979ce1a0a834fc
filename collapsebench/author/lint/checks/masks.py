"""Whether padding counts, where a module takes a mask."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import torch
from torch import Tensor

from collapsebench.author.lint.checks.registry import check
from collapsebench.author.lint.checks.state import near
from collapsebench.author.lint.findings import Verdict, failed, ok
from collapsebench.author.lint.subject import Subject
from collapsebench.author.lint.training import trained
from collapsebench.plan import parts
from collapsebench.plan.wrapped import Wrapped, copied

MASKS = (
    "mask", "padding_mask", "attention_mask", "key_padding_mask", "valid_mask", "pad_mask",
    "token_mask", "masks",
)  # fmt: skip
LENGTHS = ("lens", "lengths", "seq_lens")
LENGTH, KEPT = 24, 15  # positions of a sample, and those that are not padding


@check(
    "positions that are masked count for nothing",
    "loss, codes and the other outputs are those of the unmasked positions alone",
    optional=True,
)
def masked(subject: Subject) -> Verdict:
    """Where forward takes a mask: other values under it, and the same samples without padding."""
    name = mask_name(subject)
    if not name:
        return ok()
    if found := subject.on_every_seed(functools.partial(_padding, subject, name)):
        return failed(
            f"{found}, with {name}",
            "a mean over all positions, or averages and replacement that take the padding too",
        )
    return ok()


def _padding(subject: Subject, name: str, seed: int) -> str:
    """What padding changes, under the reading of the mask that changes less."""
    quantizer = trained(subject, seed).quantizer
    assert isinstance(quantizer, Wrapped)
    leaks, errors = [], []
    for keep in (True, False):  # what True means in a mask is not agreed upon
        try:
            leaks.append(_leak(subject, quantizer, seed, name, keep))
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            errors.append(error)
    if not leaks:
        raise errors[0]
    return "" if "" in leaks else leaks[0]


def mask_name(subject: Subject) -> str:
    """The argument of forward that is a mask, where vectors come as sequences; else ""."""
    sample = subject.sample
    if not isinstance(sample, Wrapped) or sample.form.name not in ("bnd", "bdn"):
        return ""
    known = inspect.signature(sample.module.forward).parameters
    return next((name for name in (*MASKS, *LENGTHS) if name in known), "")


def _leak(subject: Subject, quantizer: Wrapped, seed: int, name: str, keep: bool) -> str:
    """What padding changes if ``keep`` marks the positions that are not padding; "" = nothing."""
    z = subject.inputs(seed + 7, (6, 1, LENGTH))
    other = z.clone()
    other[..., KEPT:] = 5 + 3 * subject.inputs(seed + 8, (6, 1, LENGTH))[..., KEPT:]
    outputs = [_masked_step(quantizer, x, name, keep, seed) for x in (z, other)]
    alone = _masked_step(quantizer, z[..., :KEPT], name, keep, seed)
    for part in ("z_q", "loss", "codes"):
        if not near(outputs[0][part], outputs[1][part]):
            return f"other values at masked positions change the {part}"
    if not near(outputs[0]["loss"], alone["loss"]):
        ratio = float(outputs[0]["loss"] / alone["loss"])
        return f"masked positions change the loss by the factor {ratio:.3g}"
    return ""


def _masked_step(
    quantizer: Wrapped, z: Tensor, name: str, keep: bool, seed: int
) -> dict[str, Tensor]:
    """What one training call with a mask gives and leaves, at the positions that are kept."""
    own = copied(quantizer).train()
    length = z.shape[3]
    mask = (torch.arange(length) < KEPT).expand(len(z), -1)
    given: Any = torch.full((len(z),), KEPT) if name in LENGTHS else mask == keep
    torch.manual_seed(seed)
    leaf = z.clone().requires_grad_()
    found = parts.leaves(own.module(own.form.native(leaf.clone()), **{name: given}))
    z_q = own.form.usual(found[own.roles.vectors], (len(z), 1, length))[..., :KEPT]
    loss = own.roles.loss_of(found, z)
    if loss.requires_grad:
        loss.backward()
    with torch.no_grad():
        for parameter in own.parameters():
            if parameter.grad is not None:
                parameter -= parameter.grad
    state = [t.detach().float().flatten() for t in own.state_dict().values()]
    codes = torch.cat([*state, torch.zeros(1)])  # a module without any has one
    return {"z_q": z_q.detach(), "loss": loss.detach(), "codes": codes}
