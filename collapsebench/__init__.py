"""collapsebench: does your quantizer's codebook collapse, where, and compared with what.

From Python: ``load_results()`` gives rows, ``load(job_id)`` a trained model,
``codebook_metrics(tokens, codebook_size)`` the numbers of anybody's tokens, and
``CodebookMonitor(codebook_size)`` the same in anybody's training loop. ``lint(module)`` tells
which wires of a quantizer are loose.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor, nn

    from collapsebench.author.lint.findings import Findings
    from collapsebench.job.model import DiscreteVAE

__version__ = "0.1.0"
__all__ = [
    "CodebookMonitor",
    "__version__",
    "codebook_metrics",
    "lint",
    "load",
    "load_results",
]


def load_results(results: Path | str = "results", table: str = "metrics") -> pd.DataFrame:
    """All rows of a table: metrics, runs, curves, codes or protocols.

    Raises:
        KeyError: an unknown table.
    """
    from collapsebench.results import tables

    return tables.read(results, table)


def load(job_id: str, results: Path | str = "results") -> DiscreteVAE:
    """The trained model of a job, in eval mode on the CPU; a unique beginning of its id will do.

    Raises:
        UserError: no such job, more than one, or a job without a trained model, or a damaged one;
            no torch.
    """
    from collapsebench import extras

    extras.require("torch")
    import torch

    from collapsebench.job.workspace import Workspace
    from collapsebench.plan.job import Job
    from collapsebench.results.folder import damage
    from collapsebench.results.status import find
    from collapsebench.settings import MODEL, UserError

    folder = find(Path(results), job_id)
    job = Job.load(folder)
    if not (folder / MODEL).is_file():
        raise UserError(f"job {folder.name} has no trained model yet")
    if reason := damage(folder, "train", job.job_id, [MODEL]):
        raise UserError(f"job {folder.name}: {reason}")
    return Workspace(job, folder, Path(results), torch.device("cpu"), threads=1).model


def lint(
    module: nn.Module,
    example: Tensor | None = None,
    codebook_size: int | None = None,
    layout: str = "",
    outputs: str = "",
) -> Findings:
    """Whether a quantizer is wired as it should be; copies of it are examined, in this process.

    Args:
        module: takes float vectors; returns vectors of the same shape, integer tokens and losses.
        example: what an encoder gives it, (B, N, D), (B, D, N), (B, D, H, W) or (N, D): inputs are
            then drawn of this shape, mean and spread.
        codebook_size: K, where the module does not say it.
        layout: bnd, bdn, bdhw or nd; else found by trying.
        outputs: ``vectors=0,tokens=2.1,loss=1,decoder=NAME``; else found by type and shape.

    Returns:
        The findings: they print in a terminal and a notebook, and ``.ok`` fits an assertion.

    Raises:
        UserError: an example, layout or output that does not fit; no torch.
        NotFound: vectors, tokens or layout could not be recognised; the message names the option.
    """
    from collapsebench import extras

    extras.require("torch")
    from collapsebench.author.lint import examine, sources
    from collapsebench.author.lint.request import parse_outputs

    named = parse_outputs(outputs)
    return examine.examine(sources.built(module, example, codebook_size, layout, named))


def __getattr__(name: str) -> Any:
    if name == "codebook_metrics":  # numpy only, and not before it is asked for
        from collapsebench.metrics import codebook_metrics

        return codebook_metrics
    if name == "CodebookMonitor":
        from collapsebench.monitor import CodebookMonitor

        return CodebookMonitor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
