"""Whether a code that was replaced stays where it was put, and whether codes can live at all."""

from __future__ import annotations

import math
import re
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from collapsebench.author.lint.checks.registry import check
from collapsebench.author.lint.findings import Verdict, failed, ok
from collapsebench.author.lint.subject import Subject, all_codes, table, tables
from collapsebench.author.lint.training import Training, answering
from collapsebench.quantizer import Quantizer

DEAD_STEPS = 110  # replacement by windows of 100 batches is seen
DEAD_GRID = (4, 6, 10)
JUMP = 0.3  # of a code's length: further than a step of training moves it
BACK = 0.2  # of the way that a replaced code went: it is at its old place
STAYED = 0.1  # of the way that a replaced code went
LOST = 0.25  # share of replaced codes; a right quantizer loses up to a tenth, a faulty one a third
REVIVAL_WORDS = re.compile(r"dead|reviv|restart|expire|reinit|unused|replac", re.IGNORECASE)
BATCH = (16, 16, 16)  # B, H, W where a threshold is held against the tokens of a batch
THRESHOLD_STEPS, SETTLED = 60, 20


@check(
    "a revived code survives the next step",
    "a code that was put on an input is still near the inputs one step later",
)
def revival(subject: Subject) -> Verdict:
    """Inputs in four places: what happens to the codes that no input chooses."""
    if subject.codebooks == 0 or subject.fixed or table(subject.sample) is None:
        return ok()
    asked = "" if subject.failed("codebook_learns") else _asked(subject.sample)
    runs: list[_Revivals] = []
    for seed in subject.seeds:
        runs.append(_Revivals(subject, seed))
        runs[-1].go()
        if not (runs[-1].undone or (asked and runs[-1].ignored)):
            return ok()
    revived, lost = runs[0].revived, runs[0].lost
    if all(run.undone for run in runs):
        if subject.means("revived codes move on"):
            return ok()
        return failed(
            f"{lost} of {revived} replaced codes were back at their old place or gone "
            "after the next step",
            "the averages were not replaced with the code, and the codebook is rebuilt from them",
        )
    if asked and all(run.ignored for run in runs):
        return failed(
            f"{asked} asks for it, and {runs[0].dead} codes that no input chose in "
            f"{DEAD_STEPS} steps stayed where they were",
            "the new codes are written to a copy, or overwritten in the same step",
        )
    return ok()


def _asked(quantizer: Quantizer) -> str:
    """The first of the module's numbers that asks for replacement within the steps tried."""
    plain: dict[str, Any] = {}
    for module in quantizer.modules():
        plain |= {k: v for k, v in vars(module).items() if isinstance(v, bool | int | float)}
    settings = getattr(quantizer, "settings", None)
    plain |= {k: v for k, v in vars(settings).items() if isinstance(v, bool | int | float)}
    for name, value in plain.items():
        if REVIVAL_WORDS.search(name) and 0 < value <= DEAD_STEPS // 2:
            return f"{name} = {value}"
    return ""


class _Revivals:
    """Follows codes that were put near the inputs within a step, and where they are after the next.

    Attributes:
        revived, lost: how many replaced codes were followed, and how many did not stay.
        dead: codes that no input chose in all steps.
    """

    def __init__(self, subject: Subject, seed: int):
        self.subject, self.seed = subject, seed
        self.revived = self.lost = self.dead = 0

    @property
    def undone(self) -> bool:
        """More of the replaced codes did not stay than chance takes away."""
        return self.lost > LOST * self.revived

    @property
    def ignored(self) -> bool:
        """There were codes to replace, and none was."""
        return self.revived == 0 < self.dead

    def go(self) -> None:
        """Takes the steps."""
        training = Training(self.subject, self.seed).start(self.subject.inputs(self.seed))
        quantizer = training.quantizer
        start = _rows(quantizer)
        unused = torch.ones(len(start), dtype=torch.bool)
        pending: tuple[Tensor, Tensor, Tensor] | None = None  # which, from where, to where
        for step in range(DEAD_STEPS):
            z = self.subject.clustered(self.seed, step, 4, 0.05, 3.0, DEAD_GRID)
            near = _Nearness(z, quantizer)
            with _Writes(quantizer) as writes:
                output = training.step(z)
            unused &= ~_chosen(output.tokens, len(start), quantizer.codebook_size)
            end = _rows(quantizer)
            if pending is not None:
                self._follow(pending, end, near, writes.seen, unused)
            jumped = unused & near.jumped(start, end)
            self._undone(writes.seen, start, end, unused, near)
            pending = (jumped, start, end) if jumped.any() else None
            start = end
        self.dead = int(unused.sum())

    def _follow(
        self,
        pending: tuple[Tensor, Tensor, Tensor],
        now: Tensor,
        near: _Nearness,
        seen: list[Tensor],
        unused: Tensor,
    ) -> None:
        which, old, new = pending
        way = (new - old).norm(dim=1)
        if near.points is None:  # jumps of other kinds are seen too; only a way back is a fault
            stayed = (now - old).norm(dim=1) > BACK * way
        else:
            stayed = ((now - new).norm(dim=1) < STAYED * way) | near.close(now, way)
            for rows in seen:  # taken away, and put on another input before the step ended
                away = unused & rows.any(1) & ((rows - new).norm(dim=1) > way / 2)
                stayed &= ~away | near.close(rows, way)
        self.revived += int(which.sum())
        self.lost += int((which & ~stayed).sum())

    def _undone(
        self, seen: list[Tensor], start: Tensor, end: Tensor, unused: Tensor, near: _Nearness
    ) -> None:
        """Codes that stood near the inputs for a moment and were back when the step ended."""
        undone = torch.zeros_like(unused)
        for rows in seen if near.points is not None else []:
            back = (end - start).norm(dim=1) < BACK * (rows - start).norm(dim=1)
            undone |= unused & near.jumped(start, rows) & back
        self.revived += int(undone.sum())
        self.lost += int(undone.sum())


def _rows(quantizer: Quantizer) -> Tensor:
    rows = table(quantizer)
    assert rows is not None
    return rows.clone()


def _chosen(tokens: Tensor, rows: int, size: int) -> Tensor:
    """Which rows of the table the tokens name; tables of several codebooks follow one another."""
    each = tokens.flatten() if tokens.ndim == 3 else tokens.flatten(0, 2)
    if each.ndim == 2:
        each = (each + size * torch.arange(each.shape[1]) * (rows > size)).flatten()
    return each.clamp(0).bincount(minlength=rows)[:rows] > 0


class _Nearness:
    """What is near to the inputs of a step, where codes and inputs have the same dimension.

    Without it every jump counts, and only at the end of a step.
    """

    def __init__(self, z: Tensor, quantizer: Quantizer):
        flat = torch.unique(z.permute(0, 2, 3, 1).flatten(0, 2)[:240], dim=0)
        rows = _rows(quantizer)
        known = quantizer.codebooks == 1 and rows.shape[1] == flat.shape[1]
        self.points = torch.cat([flat, functional.normalize(flat, dim=1)]) if known else None

    def jumped(self, start: Tensor, rows: Tensor) -> Tensor:
        """Rows that went at least some way, and stand where the inputs are."""
        way = (rows - start).norm(dim=1)
        far = way > JUMP * start.norm(dim=1).mean()
        return far & self.close(rows, way) if self.points is not None else far

    def close(self, rows: Tensor, way: Tensor) -> Tensor:
        """Rows nearer to an input than a tenth of the way that they went."""
        if self.points is None:
            return torch.zeros_like(way, dtype=torch.bool)
        return torch.cdist(rows, self.points).amin(1) < STAYED * way


class _Writes(TorchDispatchMode):
    """Copies of the codebook after each operation that wrote into its memory."""

    def __init__(self, quantizer: Quantizer):
        super().__init__()
        self.quantizer = quantizer
        tensors = tables(quantizer).values()
        self.places = {t.untyped_storage().data_ptr() for t in tensors}
        self.seen: list[Tensor] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if (
            func._schema.is_mutable
            and args
            and isinstance(args[0], Tensor)
            and args[0].untyped_storage().data_ptr() in self.places
        ):
            rows = table(self.quantizer)
            if rows is not None:
                self.seen.append(rows.clone())
        return result


@check(
    "some codes can live: the revival threshold against the tokens of a batch",
    "with every code used alike, none is replaced",
    optional=True,
)
def revival_threshold(subject: Subject) -> Verdict:
    """Every code has its even share of each batch; how many are replaced all the same."""
    if subject.codebooks != 1 or subject.fixed or answering(subject) < 0.9:
        return ok()
    shares = []
    for seed in subject.seeds:
        training = Training(subject, seed).start(subject.inputs(seed, _batch(subject)))
        codes = all_codes(training.quantizer)
        if codes is None or table(training.quantizer) is None:
            return ok()
        shares.append(_replaced(training, codes, _batch(subject)))
        if shares[-1] <= 0.5:
            return ok()
    tokens, size = math.prod(_batch(subject)), subject.size[0]
    return failed(
        f"{max(shares):.0%} of the codes are replaced in every step, though each has "
        f"its {tokens / size:.3g} of the batch's {tokens} tokens",
        "threshold times K is more than a batch has tokens",
    )


def _batch(subject: Subject) -> tuple[int, int, int]:
    return subject.grid if subject.grid_given else BATCH


def _replaced(training: Training, codes: Tensor, grid: tuple[int, int, int]) -> float:
    """Share of the codes that jump in a step, after the averages have settled."""
    spacing = torch.cdist(codes, codes).fill_diagonal_(math.inf).amin(1).median()
    which = torch.arange(math.prod(grid)) % len(codes)
    counts = []
    for step in range(THRESHOLD_STEPS):
        generator = torch.Generator().manual_seed(step)
        noise = 0.02 * spacing * torch.randn(len(which), codes.shape[1], generator=generator)
        z = (codes[which] + noise).view(*grid, -1).permute(0, 3, 1, 2).contiguous()
        before = _rows(training.quantizer)
        training.step(z)
        jump = (_rows(training.quantizer) - before).norm(dim=1)
        if step >= THRESHOLD_STEPS - SETTLED:
            counts.append(float((jump > 0.5 * spacing).float().mean()))
    return sum(counts) / len(counts)
