"""Whether the codes in use move towards the vectors that use them."""

from __future__ import annotations

import torch
from torch import Tensor

from collapsebench.author.lint.checks.registry import check
from collapsebench.author.lint.findings import Verdict, failed, note, ok
from collapsebench.author.lint.subject import Subject, embedded, shown, table, tables
from collapsebench.author.lint.training import Training
from collapsebench.plan import lookup

STEPS, EARLY = 20, 3
MOVED = 1e-6  # of a code's length


@check(
    "the codebook learns: codes that are used move towards their inputs",
    f"every code that was used moves within {STEPS} steps",
)
def codebook_learns(subject: Subject) -> Verdict:
    """How many of the codes in use moved, and whether towards the vectors that use them."""
    if subject.codebooks == 0 or subject.means("codes are fixed"):
        return ok()
    if subject.fixed and not any(p.requires_grad for p in subject.sample.parameters()):
        return note(subject.fixed)
    runs = [_learn(subject, seed) for seed in subject.seeds]
    used, moved = runs[0].used, runs[0].moved
    if not subject.fixed and all(run.share < 0.5 for run in runs):
        return failed(
            f"{moved} of {used} codes in use moved in {STEPS} steps; {runs[0].reason}",
            "a codebook that no loss reaches and nothing rewrites",
        )
    if all(run.stuck for run in runs):
        return failed(
            f"{runs[0].stuck} did not move in {STEPS} steps",
            "the loss has no path to it, or averages are kept beside it",
        )
    if subject.fixed:
        return note(subject.fixed)
    if all(run.towards < -0.2 for run in runs):
        return failed(
            "the codes in use move away from the vectors that use them",
            "a sign in the codebook loss or in the averages",
        )
    return ok()


class _Run:
    """What 20 steps did to the codes that a first batch uses.

    Attributes:
        used, moved: distinct tokens.
        share: of the vectors whose code moved: a code that was replaced has few.
        towards: cosine between the codes' movement and the way to their vectors, after 3 steps.
        reason: why nothing moves, as far as the module shows it.
        stuck: the name of a parameter, or of a codebook beside its averages, that did not move.
    """

    def __init__(self, training: Training, z: Tensor):
        self.training, self.z = training, z
        quantizer = training.quantizer
        self.tokens = shown(quantizer, z).tokens
        self.before = self._codes()
        self.rows = table(quantizer)
        self.rows = None if self.rows is None else self.rows.clone()
        self.states = {n: t.clone() for n, t in quantizer.state_dict().items()}
        self.parameters = {
            n: p.detach().clone() for n, p in quantizer.named_parameters() if p.requires_grad
        }
        self.reached = False
        self.used, self.moved, self.share = 0, 0, 0.0
        self.towards, self.reason, self.stuck = 0.0, "", ""

    def _codes(self) -> Tensor:
        vectors = embedded(self.training.quantizer, self.tokens)
        return shown(self.training.quantizer, self.z).z_q if vectors is None else vectors

    def watch_gradients(self) -> None:
        """Remembers whether the codebook ever had a gradient."""
        tensors = [lookup.kept_in(t) for t in tables(self.training.quantizer).values()]
        self.reached |= any(
            t.is_leaf and t.grad is not None and bool(t.grad.any()) for t in tensors
        )

    def early(self) -> None:
        """Where the codes went in the first steps."""
        way = (self._codes() - self.before).flatten(1)
        wanted = (self.training.target(self.z, self.before.shape[1]) - self.before).flatten(1)
        length = float(way.norm() * wanted.norm())
        self.towards = float((way * wanted).sum()) / length if length else 0.0

    def late(self) -> None:
        """Which codes moved at all, and if few did, why."""
        off = (self._codes() - self.before).abs().amax(1).flatten()
        size = self.before.abs().amax(1).flatten()
        moved = off > MOVED * (size + 1e-3)
        self.share = float(moved.float().mean())
        names = self.tokens.reshape(len(off), -1)
        self.used = len(torch.unique(names, dim=0))
        self.moved = len(torch.unique(names[moved], dim=0)) if moved.any() else 0
        self.reason = self._why()
        self.stuck = self._stuck_name()

    def _stuck_name(self) -> str:
        now = dict(self.training.quantizer.named_parameters())
        still = [n for n, p in self.parameters.items() if torch.equal(now[n].detach(), p)]
        rows = table(self.training.quantizer)
        averages = any(w in n.lower() for n in self._changed() for w in lookup.AVERAGES)
        kept = rows is not None and self.rows is not None and torch.equal(rows, self.rows)
        named = list(tables(self.training.quantizer))
        return (still + (named if kept and averages else []) + [""])[0]

    def _changed(self) -> list[str]:
        states = self.training.quantizer.state_dict()
        return [n for n, t in states.items() if not torch.equal(t, self.states[n])]

    def _why(self) -> str:
        quantizer = self.training.quantizer
        found = tables(quantizer)
        if not found:
            return "nothing writes them"
        name, codes = next(iter(found.items()))
        if name not in {**dict(quantizer.named_parameters()), **dict(quantizer.named_buffers())}:
            return f"{name} is neither parameter nor buffer: no optimizer, no checkpoint sees it"
        averages = [n for n in self._changed() if n != name and self.states[n].ndim > 0]
        if averages:
            return f"{averages[0]} moves, {name} is never rebuilt from it"
        if not codes.requires_grad:
            return f"{name} is a buffer that nothing writes"
        if self.reached:
            return f"{name} has a gradient, and no group of the optimizer holds it"
        return f"the loss has no path to {name}"


def _learn(subject: Subject, seed: int) -> _Run:
    training = Training(subject, seed).start(subject.inputs(seed))
    run = _Run(training, subject.clustered(seed, step=0))
    training.on_gradients = run.watch_gradients
    for step in range(STEPS):
        training.step(subject.clustered(seed, step))
        if step + 1 == EARLY:
            run.early()
    run.late()
    return run
