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
        UserError: no such job, more than one, or a job without a trained model.
    """
    import torch

    from collapsebench.job.workspace import Workspace
    from collapsebench.plan.job import Job
    from collapsebench.settings import UserError

    found = [path.parent for path in Path(results).glob(f"jobs/{job_id}*/job.json")]
    if len(found) != 1:
        raise UserError(f"{len(found) or 'no'} jobs in {results} begin with {job_id!r}")
    if not (found[0] / "model.safetensors").is_file():
        raise UserError(f"job {found[0].name} has no trained model yet")
    workspace = Workspace(
        Job.load(found[0]), found[0], Path(results), torch.device("cpu"), threads=1
    )
    return workspace.model


def __getattr__(name: str) -> Any:
    if name == "codebook_metrics":  # numpy only, and not before it is asked for
        from collapsebench.metrics import codebook_metrics

        return codebook_metrics
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
