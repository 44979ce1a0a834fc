"""What a call leaves behind: in evaluation, in a checkpoint, in its input."""

from __future__ import annotations

import functools
import random
from typing import Any

import numpy as np
import psutil
import torch
from torch import Tensor

from collapsebench.author.lint.checks.registry import check
from collapsebench.author.lint.findings import Verdict, cannot, failed, ok
from collapsebench.author.lint.subject import Subject, shown
from collapsebench.author.lint.training import Training, trained
from collapsebench.plan.wrapped import copied
from collapsebench.quantizer import Quantizer

AFTER, LOOK = 26, 5  # steps that follow a loaded checkpoint, and between two looks
CLOSE = 1e-5


@check(
    "it runs: forward in training and evaluation, and a step back",
    "no exception, finite numbers, no process started",
)
def runs(subject: Subject) -> Verdict:
    """A start, a few steps, an evaluation."""
    before = set(psutil.Process().children(recursive=True))
    try:
        training = trained(subject, subject.seeds[0])
    except RuntimeError as error:
        if "inplace" in str(error) and _written(subject):
            return cannot("nothing can be trained, since forward writes into its input: see there")
        raise
    output = shown(training.quantizer, subject.inputs(subject.seeds[0]))
    if not (output.z_q.isfinite().all() and output.loss.isfinite()):
        return failed("vectors or loss are not finite", "a division by 0 or a logarithm of it")
    started = set(psutil.Process().children(recursive=True)) - before
    if started:
        names = ", ".join(sorted({process.name() for process in started}))
        return failed(f"it starts processes: {names}")
    return ok()


@check(
    "eval changes nothing and is deterministic",
    "two calls give the same, and the state is the same after them",
)
def evaluation(subject: Subject) -> Verdict:
    """Outputs, state, and the next training step after evaluation."""
    if found := subject.on_every_seed(functools.partial(_evaluated, subject)):
        return failed(
            found,
            "averages, usage or replacement without `if self.training`, "
            "or a dropout that is always on",
        )
    return ok()


def _evaluated(subject: Subject, seed: int) -> str:
    quantizer, z = trained(subject, seed).quantizer, subject.inputs(seed + 7)
    if is_random(quantizer, z):
        return "two calls differ"
    used = copied(quantizer).eval()
    before = {name: tensor.clone() for name, tensor in used.state_dict().items()}
    with torch.no_grad():
        for other in range(4):
            used(subject.inputs(seed + 50 + other))
    changed = [n for n, t in used.state_dict().items() if not _same(t, before[n])]
    if changed:
        return f"{', '.join(changed[:3])} changed in eval"
    outputs = []
    for one in (quantizer, used):
        training = Training(subject, seed, copied(one).train())
        torch.manual_seed(seed)
        training.step(z)
        outputs.append(shown(training.quantizer, z).z_q)
    return "" if _same(*outputs) else "after eval calls the next training step is another one"


def is_random(quantizer: Quantizer, z: Tensor) -> bool:
    """Whether two evaluations of the same vectors differ."""
    outputs = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        outputs.append(shown(quantizer, z))
    return not (
        _same(outputs[0].z_q, outputs[1].z_q) and _same(outputs[0].tokens, outputs[1].tokens)
    )


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.equal(a.nan_to_num(), b.nan_to_num())


@check(
    "save, load, go on: same output and same next steps",
    "a fresh instance with the loaded state continues as the old one",
)
def save_load(subject: Subject) -> Verdict:
    """state_dict into a fresh instance of another seed, then both go on with the same noise."""
    if subject.failed("codebook_learns") and "neither" in subject.judged["codebook_learns"].text:
        return cannot("the codebook is not part of the module: see there")
    found = subject.on_every_seed(functools.partial(_resumed, subject))
    return (
        failed(found, "a tensor or a counter that is neither parameter nor buffer")
        if found
        else ok()
    )


def _resumed(subject: Subject, seed: int) -> str:
    fresh = subject.make(seed + 31)
    old = trained(subject, seed)
    try:
        fresh.load_state_dict(old.quantizer.state_dict())
    except RuntimeError as error:
        return f"load_state_dict refuses: {' '.join(str(error).split())[:160]}"
    z = subject.inputs(seed + 7)
    if not near(_seen(old.quantizer, z), _seen(fresh, z)):
        return "the output in eval is another one after loading"
    resumed = Training(subject, seed, fresh.train())
    again = Training(subject, seed, copied(old.quantizer).train())
    for step in range(AFTER):
        for training in (again, resumed):
            torch.manual_seed(step)
            training.step(subject.inputs(seed + 200 + step))
        if step % LOOK == 0 and not near(*(_seen(t.quantizer, z) for t in (again, resumed))):
            return f"{step + 1} steps after loading the output is another one"
    return ""


def _seen(quantizer: Quantizer, z: Tensor) -> Tensor:
    torch.manual_seed(0)
    return shown(quantizer, z).z_q


def near(a: Tensor, b: Tensor) -> bool:
    """Equal, to rounding of the largest element."""
    return torch.allclose(a, b, rtol=CLOSE, atol=CLOSE * float(a.abs().max() + 1e-6))


@check(
    "the input is not modified; no global random state is touched in eval",
    "z is the same after the call, and so are the global generators after eval",
)
def side_effects(subject: Subject) -> Verdict:
    """The input after a call in either mode; torch's, numpy's and Python's generators."""
    if mode := _written(subject):
        return failed(
            f"{mode}: forward wrote into its input",
            "an operation in place, like z.div_() or z += ...",
        )
    if subject.failed("evaluation"):
        return ok()
    touched = _touched(_started(subject), subject.inputs(subject.seeds[0] + 7))
    if touched:
        return failed(
            f"eval draws from or seeds the global generator of {' and '.join(touched)}",
            "noise that is drawn and not used, or a manual_seed",
        )
    return ok()


def _started(subject: Subject) -> Quantizer:
    quantizer = subject.make(subject.seeds[0])
    with torch.no_grad():
        quantizer.initialize(subject.inputs(subject.seeds[0]))
        quantizer(subject.inputs(subject.seeds[0]))
    return quantizer


def _written(subject: Subject) -> str:
    """The mode, train or eval, in which forward writes into its input; "" if in neither."""
    for training in (True, False):
        for order in (torch.contiguous_format, torch.channels_last):  # one is the module's own
            z = subject.inputs(subject.seeds[0] + 7).contiguous(memory_format=order)
            given = z.clone()
            with torch.no_grad():
                copied(_started(subject)).train(training)(given)
            if not _same(given, z):
                return "train" if training else "eval"
    return ""


def _touched(quantizer: Quantizer, z: Tensor) -> list[str]:
    own = copied(quantizer).eval()
    before = _generators()
    with torch.no_grad():
        own(z.clone())
    return [name for name, state in _generators().items() if state != before[name]]


def _generators() -> dict[str, bytes]:
    """The state of each global generator."""
    numpys: Any = np.random.get_state()  # noqa: NPY002
    return {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": numpys[1].tobytes() + bytes(numpys[2] % 256),
        "Python": repr(random.getstate()).encode(),
    }
