"""collapsebench: does your quantizer's codebook collapse, where, and compared with what.

From Python: ``load_results()`` gives rows, ``load(job_id)`` a trained model, and
``codebook_metrics(tokens, codebook_size)`` the numbers of anybody's tokens.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from collapsebench.job.model import DiscreteVAE

__version__ = "0.1.0"
__all__ = ["__version__", "codebook_metrics", "load", "load_results"]


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
        UserError: no such job, more than one, or a job without a trained model, or a damaged one.
    """
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


def __getattr__(name: str) -> Any:
    if name == "codebook_metrics":  # numpy only, and not before it is asked for
        from collapsebench.metrics import codebook_metrics

        return codebook_metrics
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
