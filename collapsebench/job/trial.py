"""One forward of a user's method before anything is queued, so that a mistake is said at once."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from collapsebench.job import tracebacks
from collapsebench.plan import registry
from collapsebench.plan.job import Job
from collapsebench.quantizer import Incompatible, Quantizer
from collapsebench.settings import UserError, build

SHAPE = (2, 4, 6)  # B, H, W


def mistakes(jobs: Sequence[Job]) -> list[str]:
    """Builds each user's method as its first job does and calls it once in training.

    Returns:
        A sentence with the author's own line for each that raises or whose loss is no number.
    """
    first: dict[str, Job] = {}
    for job in jobs:
        if job.kind == "user":
            first.setdefault(job.code["method"], job)
    return list(filter(None, map(_mistake, first.values())))


def _mistake(job: Job) -> str:
    word = job.files.get("method", job.method)
    method = registry.method_class(word)
    hint = f"; collapsebench test-method {word} says more"
    try:
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loss = _loss(method, job)
    except (Incompatible, UserError):
        return ""  # of these sizes only: a row that says so
    except Exception as error:  # whatever the author's code raises
        line = tracebacks.own_line(error)
        said = f"{tracebacks.sentence(error)}{f' ({line})' if line else ''}"
        return f"{job.method}: one forward fails: {said}{hint}"
    if loss.ndim:
        line = tracebacks.written_in(method, "forward", "loss ")
        return f"{job.method}: loss is {tuple(loss.shape)}, must be 0-d ({line}){hint}"
    return ""


def _loss(method: type[Quantizer], job: Job) -> Tensor:
    batch, height, width = SHAPE
    settings = build(method.Settings, job.settings["method"], job.method)
    quantizer = method(job.codebook_size, job.code_dim, settings)
    z_e = torch.randn(batch, quantizer.encoder_channels, height, width).requires_grad_()
    quantizer.initialize(z_e.detach())
    quantizer.anneal(torch.tensor(0.0))
    return quantizer.train()(z_e.clone()).loss
