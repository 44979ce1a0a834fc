"""What a launcher tells a job: ``order.json`` in the job's folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from collapsebench.results import disk
from collapsebench.results.folder import ORDER, read_json
from collapsebench.settings import STAGES, UserError, build, plain


@dataclass(frozen=True)
class Order:
    """How to run a job; no part of an id. What a job is to know is a field of this, nowhere else.

    Attributes:
        threads: of the processor; 0 = all there are.
        launcher_job: the id that the launcher's scheduler gave.
        limit_s: wall time after which the job ends as ``timeout``; 0 = none.
        wait: wait for another process that works on the job, instead of ending at once.
        bound: end when the process that started this one has ended.
        checkpoint_s: seconds between two checkpoints.
        data_root: where datasets lie; None = where ``datasets.data_root`` looks.
        weights: an Inception weights file; None = where ``fidelity.inception_weights`` looks.
        allow_unverified_weights: take a file that is not the published one, under another id.
    """

    stages: tuple[str, ...] = STAGES
    threads: int = 0
    launcher: str = "local"
    launcher_job: str = ""
    limit_s: float = 0.0
    wait: bool = False
    bound: bool = False
    checkpoint_s: float = 60.0
    data_root: Path | None = None
    weights: Path | None = None
    allow_unverified_weights: bool = False

    @classmethod
    def read(cls, folder: Path) -> Order:
        """What was ordered last; the defaults where nothing was.

        Raises:
            UserError: an order that cannot be read.
        """
        path = folder / ORDER
        if not os.path.lexists(path):
            return cls()
        if not (content := read_json(path, {})):
            raise UserError(f"{path} cannot be read: it is torn, or holds no object")
        return build(cls, content, str(path))

    def write(self, folder: Path) -> None:
        """Puts the order where the job reads it."""
        values = {k: str(v) if isinstance(v, Path) else v for k, v in plain(self).items()}
        disk.write_json(folder / ORDER, values)
