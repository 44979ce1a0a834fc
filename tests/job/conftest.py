"""One small job that went through all its stages, once for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from collapsebench.job import runner
from collapsebench.job.order import Order
from collapsebench.job.workspace import Workspace
from collapsebench.plan import resolve
from collapsebench.plan.grid import Point
from collapsebench.plan.job import Job
from tests.conftest import ALL, FEW, TINY


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory, data_root: Path) -> tuple[Path, Job]:
    """(results, job) of a GS-VQ-VAE that is done; who changes anything copies it first."""
    results = tmp_path_factory.mktemp("whole")
    point = Point("gs_vq_vae", "", FEW, 16, 4, 42, TINY)
    job = resolve.resolve(point, ALL, "demo", data_root)
    folder = job.queue(results)
    order = Order(data_root=data_root)
    workspace = Workspace(Job.load(folder), folder, results, torch.device("cpu"), 1, order)
    assert runner.run(workspace) == "done"
    return results, job
