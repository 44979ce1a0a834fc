"""One forward of a user's method before anything is queued, so that a mistake is said at once."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from collapsebench.job import apart, tracebacks
from collapsebench.plan import registry
from collapsebench.plan.job import Job
from collapsebench.quantizer import Incompatible, Quantized, Quantizer
from collapsebench.settings import UserError, build

SHAPE = (2, 4, 6)  # B, H, W
LIMIT_S = 60.0  # who takes longer is let go: slow is no mistake


def mistakes(jobs: Sequence[Job]) -> list[str]:
    """Builds each user's method as its first job does and calls it once in training.

    Each in a process of its own, which it may end or keep waiting.

    Returns:
        A sentence with the author's own line for each that raises, whose loss is no number, or that
        ends its process.
    """
    first: dict[str, Job] = {}
    for job in jobs:
        if job.kind == "user":
            first.setdefault(job.code["method"], job)
    return list(filter(None, map(_tried, first.values())))


def _tried(job: Job) -> str:
    try:
        return apart.answer(_mistake, job, limit_s=LIMIT_S) or ""
    except EOFError:
        return f"{job.method}: one forward ends its process{_hint(job)}"


def _hint(job: Job) -> str:
    return f"; collapsebench test-method {job.files.get('method', job.method)} says more"


def _mistake(job: Job) -> str:
    method = registry.method_class(job.files.get("method", job.method))
    hint = _hint(job)
    try:
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            output = _output(method, job)
    except (Incompatible, UserError):
        return ""  # of these sizes only: a row that says so
    except (Exception, SystemExit) as error:  # whatever the author's code raises
        line = tracebacks.own_line(error)
        said = f"{tracebacks.sentence(error)}{f' ({line})' if line else ''}"
        return f"{job.method}: one forward fails: {said}{hint}"
    if wrong := _wrong(output):
        line = tracebacks.written_in(method, "forward", wrong)
        return f"{job.method}: {wrong} ({line}){hint}"
    return ""


def _wrong(output: object) -> str:
    """What the trainer could not begin with, "" if it could."""
    if not isinstance(output, Quantized):
        return "forward must return Quantized(z_q, tokens, loss, terms)"
    if not isinstance(output.loss, Tensor):
        return f"loss is {output.loss!r:.40}, must be a tensor"
    return f"loss is {tuple(output.loss.shape)}, must be 0-d" if output.loss.ndim else ""


def _output(method: type[Quantizer], job: Job) -> object:
    batch, height, width = SHAPE
    settings = build(method.Settings, job.settings["method"], job.method)
    quantizer = method(job.codebook_size, job.code_dim, settings)
    z_e = torch.randn(batch, quantizer.encoder_channels, height, width).requires_grad_()
    quantizer.initialize(z_e.detach())
    quantizer.anneal(torch.tensor(0.0))
    return quantizer.train()(z_e.clone())
