"""One of two processes that train the same module on data of their own: ``rank RANK FOLDER``.

What to build comes on standard input, the codes after the steps go to ``FOLDER/RANK.pt``.
"""

from __future__ import annotations

import pickle
import resource
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from collapsebench.author.lint import sources
from collapsebench.author.lint.checks.processes import RANKS, STEPS
from collapsebench.author.lint.request import LintRequest
from collapsebench.author.lint.subject import SEEDS, Subject, all_codes, table
from collapsebench.author.lint.training import Training
from collapsebench.job.tracebacks import sentence

WAIT_S = 60  # for the other process; a busy machine starts it late
WORK_S = 60  # of processor time


def main(rank: int, folder: Path) -> None:
    """Joins the group, trains, reports.

    How the module is called was recognised before, by the process that asks: a module tried in the
    group might wait in it for the other's, and one tried before it may remember that it was alone.
    """
    resource.setrlimit(resource.RLIMIT_CPU, (WORK_S, WORK_S))
    request, module, size, known = pickle.load(sys.stdin.buffer)
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder / 'store'}",
        rank=rank,
        world_size=RANKS,
        timeout=timedelta(seconds=WAIT_S),
    )
    report: dict[str, Any] = {"error": "", "codes": {}}
    try:
        subject = _subject(request, module, size, known)
        report["codes"] = {seed: _codes(subject, seed, rank) for seed in SEEDS}
    except (RuntimeError, TypeError, ValueError, AttributeError, AssertionError) as error:
        report["error"] = sentence(error)
    temporary = folder / f"{rank}.tmp"
    torch.save(report, temporary)
    temporary.rename(folder / f"{rank}.pt")


def _subject(request: LintRequest, module: Any, size: tuple[int, int], known: Any) -> Subject:
    if module is None:
        return sources.named(request, known)
    return sources.built(module, None, size[0], request.layout, request.outputs)


def _codes(subject: Subject, seed: int, rank: int) -> torch.Tensor:
    """The codebook after a few steps of data-parallel training."""
    training = Training(subject, seed)  # the same start everywhere
    training.on_gradients = lambda: _average(training)
    for step in range(STEPS):
        torch.manual_seed(1000 * (rank + 1) + step)
        training.step(subject.clustered(seed + 100 * rank, step, clusters=4))
    codes = table(training.quantizer)
    codes = all_codes(training.quantizer) if codes is None else codes
    assert codes is not None, "it has no codes that could be compared"
    return codes.clone()


def _average(training: Training) -> None:
    for parameter in training.quantizer.parameters():
        if parameter.requires_grad:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            distributed.all_reduce(parameter.grad)
            parameter.grad /= RANKS


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
