"""A first file for a new method, and the check that a method keeps the contract."""

from __future__ import annotations

import keyword
from pathlib import Path

from collapsebench.plan import registry
from collapsebench.results import disk
from collapsebench.settings import UserError

TEMPLATE = '''"""{label}: one clause that says the idea.

Paper: authors. Title. Venue year. URL
Reference code: repository, path, commit.

    token = argmin_k ||z_e - c_k||^2,  z_q = its code
    loss = ||sg[z_e] - z_q||^2 + beta ||z_e - sg[z_q]||^2, mean over elements

Differs from the paper: nothing known.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from collapsebench import ops
from collapsebench.quantizer import Quantized, Quantizer
from collapsebench.settings import NonNegative


class {cls}(Quantizer):
    label = "{label}"
    network = "vqvae"  # the network family of the method's own paper

    @dataclass(frozen=True)
    class Settings:
        beta: NonNegative = 0.25  # weight of the commitment; say where each default comes from

    def __init__(self, codebook_size: int, code_dim: int, settings: Settings):
        super().__init__(codebook_size, code_dim, settings)
        self.codebook = nn.Parameter(ops.random_codebook("normal", codebook_size, code_dim))

    def forward(self, z_e: Tensor) -> Quantized:
        tokens = ops.nearest(ops.channels_last(z_e), self.codebook)
        z_q = self.embed(tokens)

        commitment = functional.mse_loss(z_e, z_q.detach())
        codebook = functional.mse_loss(z_q, z_e.detach())
        loss = codebook + self.settings.beta * commitment
        terms = {{"commitment": commitment.detach()}}
        return Quantized(ops.straight_through(z_e, z_q), tokens, loss, terms)

    def embed(self, tokens: Tensor) -> Tensor:
        return ops.lookup(self.codebook, tokens)
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
    disk.replace_atomically(path, lambda p: p.write_text(text, encoding="utf-8"), Path.read_bytes)
    return path


LIMIT_S = 600.0  # that all promises of a method may take

# What lint asks too: of one fault, one line.
SAME = {
    "encoder_gradient": "gradient_reaches_the_encoder",
    "side_effects": "input_is_left_alone",
    "evaluation": "evaluation_is_deterministic",
    "decoding": "tokens_say_what_the_decoder_sees",
    "token_round_trip": "tokens_say_what_the_decoder_sees",
    "save_load": "state_dict_holds_everything",
    "runs": "output_has_the_right_shapes_and_types",
}


def test_method(word: str) -> int:
    """Prints each promise of the contract and what lint finds; returns the exit code.

    Raises:
        UserError: no such method, or one that ends its process or takes longer than ``LIMIT_S``.
    """
    from collapsebench.author import promises
    from collapsebench.author.lint import isolated
    from collapsebench.author.lint.findings import OK
    from collapsebench.author.lint.request import LintRequest
    from collapsebench.job import apart
    from collapsebench.plan.wrapped import Wrapped

    method = registry.method_class(word)
    if issubclass(method, Wrapped):  # another project's: it made no promise
        found = isolated.lint(LintRequest(word))
        print(found)
        return found.exit_code
    try:
        messages = apart.answer(promises.of, word, limit_s=LIMIT_S)
    except EOFError:
        raise UserError(f"{word} ends its process where a promise is tried") from None
    if messages is None:
        raise UserError(f"{word}: its promises could not be tried within {LIMIT_S:.0f} s")
    said: set[str] = set()
    for check, message in messages.items():
        print(f"{'FAILED' if message else 'ok':<7} {check.replace('_', ' ')}")
        if message:
            print(f"        {'the same' if message in said else message}")
        said.add(message)
    broken = sum(bool(message) for message in messages.values())
    print(f"{len(messages) - broken} of {len(messages)} promises kept")

    found = isolated.lint(LintRequest(word))
    for finding in found:
        if finding.verdict != OK and not messages.get(SAME.get(finding.check, "")):
            print(finding)
    print(f"lint: {found.summary}")
    return 1 if broken or found.faults else 0
