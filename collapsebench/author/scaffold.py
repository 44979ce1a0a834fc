"""A first file for a new method, and the check that a method keeps the contract."""

from __future__ import annotations

import keyword
from pathlib import Path

from collapsebench.plan import registry
from collapsebench.results import tables
from collapsebench.settings import UserError

TEMPLATE = '''"""{label}: one clause that says the idea.

Paper: authors. Title. Venue year. URL
Reference code: repository, path, commit.

    token = argmin_k |z_e - c_k|^2
    loss  = |sg[z_q] - z_e|^2 beta + |z_q - sg[z_e]|^2

Differs from the paper: nothing known.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from collapsebench.quantizer import Quantized, Quantizer


class {cls}(Quantizer):
    label = "{label}"
    network = "vqvae"  # the network family of the method's own paper

    @dataclass(frozen=True)
    class Settings:
        beta: float = 0.25  # weight of the commitment; say where each default comes from

    def __init__(self, codebook_size: int, code_dim: int, settings: Settings):
        super().__init__(codebook_size, code_dim, settings)
        self.codebook = nn.Parameter(torch.randn(codebook_size, code_dim))

    def forward(self, z_e: Tensor) -> Quantized:
        flat = z_e.permute(0, 2, 3, 1).flatten(0, 2)  # (B H W, D)
        distances = self.codebook.square().sum(1) - 2 * flat @ self.codebook.T
        tokens = distances.argmin(1).view(z_e.shape[0], *z_e.shape[2:])  # (B, H, W)

        z_q = self.embed(tokens)
        commitment = functional.mse_loss(z_e, z_q.detach())
        codebook = functional.mse_loss(z_q, z_e.detach())
        loss = self.settings.beta * commitment + codebook

        if self.training:
            z_q = z_e + (z_q - z_e).detach()  # straight through
        return Quantized(z_q, tokens, loss, {{"commitment": commitment.detach()}})

    def embed(self, tokens: Tensor) -> Tensor:
        return self.codebook[tokens].permute(0, 3, 1, 2)
'''


def new_method(name: str, folder: Path) -> Path:
    """Writes ``<folder>/<name>.py``, a plain vector quantizer to change.

    Raises:
        UserError: a name that is no identifier, that is taken, or a file that exists.
    """
    if not name.isidentifier() or keyword.iskeyword(name) or name != name.lower():
        raise UserError(f"{name!r} cannot name a method: lower-case letters, digits and _ only")
    if name in registry.names("methods"):
        raise UserError(f"the name {name!r} is taken by a shipped method; choose another")
    path = folder / f"{name}.py"
    if path.exists():
        raise UserError(f"{path} exists; nothing was written")
    label = name.replace("_", " ").title().replace("Vq", "VQ").replace("Vae", "VAE")
    text = TEMPLATE.format(label=label, cls=label.replace(" ", "").replace("-", ""))
    tables.replace_atomically(path, lambda p: p.write_text(text), Path.read_text)
    return path


def test_method(word: str) -> int:
    """Prints each promise of the contract and whether it is kept; returns the exit code.

    Raises:
        UserError: no such method.
    """
    from collapsebench.author import promises
    from collapsebench.quantizer import Quantizer

    entry = registry.find("methods", word)
    messages = promises.run(registry.only_subclass(entry, Quantizer))
    for check, message in messages.items():
        print(f"{'FAILED' if message else 'ok':<7} {check.replace('_', ' ')}")
        if message:
            print(f"        {message}")
    broken = sum(bool(message) for message in messages.values())
    print(f"{len(messages) - broken} of {len(messages)} promises kept")
    return 1 if broken else 0
