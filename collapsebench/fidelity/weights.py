"""The Inception weights file: where it is looked for, and what it must hash to.

Network: InceptionV3 of the original FID (TensorFlow 2015-12-05), in torch-fidelity's conversion,
released with toshas/torch-fidelity v0.2.0. Its loader unpickles whatever it is given and checks no
hash; here nothing is opened before its SHA-256 is known, and nothing is fetched unasked.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
from pathlib import Path

import torch

from collapsebench.results import disk
from collapsebench.settings import UserError

NAME = "weights-inception-2015-12-05-6726825d.pth"
URL_INCEPTION_V3 = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{NAME}"
INCEPTION_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
VARIABLE = "COLLAPSEBENCH_INCEPTION_WEIGHTS"
WAYS = (
    f"give --inception-weights PATH, or set {VARIABLE}, or run `collapsebench data prepare "
    "inception`; offline: --set score.extractor=cb-randconv-v1"
)


def hub_weights() -> Path:
    """Where torch's hub folder keeps the file, and where `data prepare inception` puts it."""
    return Path(torch.hub.get_dir()) / "checkpoints" / NAME


def inception_named() -> bool:
    """Whether the environment names a weights file, or torch's hub folder holds one."""
    return bool(os.environ.get(VARIABLE)) or hub_weights().is_file()


def inception_weights(explicit: Path | None = None) -> Path:
    """The first weights file named: ``explicit``, the environment variable, torch's hub folder.

    Raises:
        UserError: there is no file at the first place that is named; the next is not tried then.
    """
    variable = os.environ.get(VARIABLE)
    path = explicit or (Path(variable) if variable else hub_weights())
    if not path.is_file():
        raise UserError(f"no Inception weights at {path}: {WAYS}")
    return path


def read_weights(path: Path, sha256: str) -> io.BytesIO:
    """The bytes of a weights file as torch-fidelity can load them, after their hash was checked.

    A file that is not the published one is first read by torch's restricted unpickler, so that
    loading never runs code from it.

    Raises:
        UserError: the file has changed since its hash was taken, or holds no tensors.
    """
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise UserError(f"Inception weights at {path} changed while they were in use")
    if sha256 == INCEPTION_SHA256:
        return io.BytesIO(content)
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise UserError(f"no Inception weights in {path}: {_first_line(error)}") from None
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return buffer


def download_inception(target: Path) -> Path:
    """Fetches torch-fidelity's release file to ``target``, checks its hash, renames it there.

    The only place in the project that fetches weights.

    Raises:
        UserError: no connection, or another file than the published one arrived.
    """
    try:
        disk.replace_atomically(target, _fetch, _verify)
    except OSError as error:
        raise UserError(f"could not fetch {URL_INCEPTION_V3}: {_first_line(error)}") from None
    return target


def _fetch(path: Path) -> None:
    torch.hub.download_url_to_file(URL_INCEPTION_V3, str(path))


def _verify(path: Path) -> None:
    if (digest := disk.sha256(path)) != INCEPTION_SHA256:
        raise OSError(f"what arrived has SHA-256 {digest[:12]}..., not {INCEPTION_SHA256[:12]}...")


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
