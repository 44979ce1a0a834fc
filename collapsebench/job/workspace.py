"""What a stage works with: the job, its folder, its device, and who listens."""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from collapsebench.datasets import Dataset, Items, data_root
from collapsebench.job import train
from collapsebench.job.model import DiscreteVAE, build
from collapsebench.job.order import Order
from collapsebench.plan import registry
from collapsebench.plan.job import Job
from collapsebench.results import provenance
from collapsebench.results.claims import Claim
from collapsebench.results.folder import PROGRESS, checkpoint_file
from collapsebench.settings import MODEL, digest, identity, tokens_file
from collapsebench.settings import build as build_settings

SHOWN = ("loss", "mse", "normalised_error", "perplexity", "usage", "prior_loss", "prior_held_out")


@dataclass
class Workspace:
    """What one job works with.

    Attributes:
        threads: of the processor, as the job began with them.
        stop: asked often; "" to go on, or the status to end the stage with, its checkpoint written.
        error: the exception behind status ``error``.
        started: clock and time of the current stage.
    """

    job: Job
    folder: Path
    results: Path
    device: torch.device
    threads: int
    order: Order = field(default_factory=Order)
    stop: Callable[[], str] = lambda: ""
    error: Exception | None = None
    claim: Claim | None = None
    started: dict[str, Any] = field(default_factory=dict)

    @property
    def dataset(self) -> Dataset:
        """Where the items come from."""
        return registry.dataset(self.job.files.get("dataset", self.job.dataset))

    @functools.cached_property
    def items(self) -> Items:
        """The dataset's three splits."""
        return self.dataset.load(self.job.group("data"), data_root(self.order.data_root))

    def fresh_model(self) -> DiscreteVAE:
        """The job's model as its seed makes it."""
        job = self.job
        method = registry.method_class(job.files.get("method", job.method))
        family = registry.network_module(job.files.get("network", job.network))
        return build(
            method,
            family,
            image_size=self.items.form.size,
            codebook_size=job.codebook_size,
            code_dim=job.code_dim,
            method_settings=build_settings(method.Settings, job.settings["method"], job.method),
            network_settings=build_settings(family.Settings, job.settings["network"], job.network),
            seed=job.seed,
        )

    @functools.cached_property
    def model(self) -> DiscreteVAE:
        """The trained model."""
        model = self.fresh_model()
        model.load_state_dict(load_file(self.folder / MODEL))
        return model.to(self.device).eval()

    def tokens(self, split: str) -> np.ndarray:
        """The tokens of a split, memory-mapped."""
        return np.load(self.folder / tokens_file(split), mmap_mode="r")

    def checkpoint(self, stage: str) -> Path:
        """Where a stage that can resume writes how far it is."""
        return self.folder / checkpoint_file(stage)

    def elapsed(self) -> float:
        """Seconds since the stage began."""
        return max(time.monotonic() - self.started["clock"], 1e-9)

    def generation(self) -> dict[str, Any]:
        """What decides generated images besides the model: part of the protocol of their scores."""
        groups = {name: identity(self.job.group(name)) for name in ("prior", "sample")}
        return {f"{name}.{k}": v for name, group in groups.items() for k, v in group.items()}

    def prior_protocol(self) -> str:
        """Id of that: likelihoods of unlike priors never share a cell either."""
        return digest(self.generation())

    def facts(self) -> dict[str, Any]:
        """Columns of ``runs`` that this process and stage decide."""
        cuda = self.device.type == "cuda"
        precision = self.job.settings["train"]["precision"]
        return {
            "started_at": self.started["at"],
            "finished_at": datetime.now(UTC),
            "wall_s": self.elapsed(),
            "peak_memory_bytes": provenance.peak_memory_bytes(),
            "peak_gpu_memory_bytes": torch.cuda.max_memory_allocated() if cuda else None,
            "implementation": json.dumps(self.job.code, sort_keys=True),
            "precision": precision,
            "variant": "bf16" if precision == "bf16" else "plain",
            "device": self.device.type,
            "device_name": torch.cuda.get_device_name() if cuda else provenance.processor(),
            "threads": self.threads,
            "deterministic": not cuda,
            "tf32": torch.backends.cudnn.allow_tf32 if cuda else False,
            "launcher": self.order.launcher,
            "launcher_job": self.order.launcher_job,
            "data_hash": self.items.content_hash if "items" in self.__dict__ else None,
            "split_hash": self.items.split_hash if "items" in self.__dict__ else None,
            "settings": json.dumps(self.job.settings, sort_keys=True),
        }

    def progress(self, stage: str, done: int, total: int, values: dict[str, float]) -> None:
        """``report``, at most once a second, for stages that call it often; stops when asked to."""
        if self.stop():
            raise train.Interrupted(f"stopped at {done} of {total}")
        if time.monotonic() - self.started.get("said", 0.0) > 1.0 or done == total:
            self.started["said"] = time.monotonic()
            self.report(stage, done, total, values)

    def report(self, stage: str, done: int, total: int, values: dict[str, float]) -> None:
        """Says how far a stage is: one line in the log, and progress.json for whoever watches."""
        text = " ".join(f"{k} {v:.4g}" for k, v in values.items() if k in SHOWN)
        print(f"{stage} {done}/{total} {text}".rstrip(), flush=True)
        state = {"stage": stage, "done": done, "total": total, "at": time.time(), "values": values}
        state |= {"elapsed_s": time.monotonic() - self.started["clock"]}
        path = self.folder / PROGRESS
        temporary = self.folder / f".{PROGRESS}.{os.getpid()}.tmp"
        try:
            temporary.write_text(json.dumps(state))
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
