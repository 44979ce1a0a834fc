"""The one training loop: items live on the device as stored, nothing in a step waits for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from collapsebench import schedules
from collapsebench.datasets import IMAGES, Form
from collapsebench.job.compiling import faster
from collapsebench.job.encode import Probe
from collapsebench.job.model import DiscreteVAE
from collapsebench.job.replay import Replay
from collapsebench.results import disk
from collapsebench.results.folder import UNUSABLE, resumable, set_aside
from collapsebench.settings import PAPER_STEPS, Train

WINDOW = ("loss", "reconstruction")  # summed over the steps between two points, and the error
DIVERGED_AFTER = 2_000  # steps; before that a large error is only a start
DIVERGED_FACTOR = 2.0  # times the error of predicting the data's mean
Curve = list[tuple[int, str, float]]
Report = Callable[[int, dict[str, float]], None]


class Diverged(FloatingPointError):
    """The loss is not finite, or the model became far worse than a constant; has the curve."""

    def __init__(self, message: str, curve: Curve):
        super().__init__(message)
        self.curve = curve


class Interrupted(Exception):
    """The run was asked to stop; its checkpoint is written."""


@dataclass
class State:
    """Where a run stands: all that its checkpoint holds beside weights and generators.

    Attributes:
        step: steps done.
        curve: points so far, and ``maps``: what the probe keeps of each.
        window: sums since the last point.
        variant: how this process took its steps: plain, compiled or recorded.
    """

    step: int = 0
    curve: Curve = field(default_factory=list)
    window: list[float] = field(default_factory=lambda: [0.0] * (len(WINDOW) + 1))
    maps: list[np.ndarray] = field(default_factory=list)
    variant: str = "plain"


def fit(
    model: DiscreteVAE,
    items: np.ndarray,
    settings: Train,
    *,
    seed: int,
    device: torch.device,
    form: Form = IMAGES,
    probe: Probe | None = None,
    report: Report = lambda step, values: None,
    stop: Callable[[], bool] = lambda: False,
    checkpoint: Path | None = None,
    checkpoint_s: float = 60.0,
    identity: str = "",
) -> State:
    """Trains ``model`` in place on stored items (N, ...) and returns its curve.

    Args:
        form: what the items are.
        probe: further curve values, measured at each point; draws no random number.
        report: called at each point with its step and values.
        stop: asked before each step; True writes the checkpoint and raises ``Interrupted``.
        checkpoint: a file to resume from, and to write every ``checkpoint_s`` seconds; one that
            is damaged or of another identity is set aside.
        identity: names all that decides the trained model.

    Raises:
        Diverged: the loss is not finite, or after 2 000 steps the mean squared error between two
            points exceeds twice that of the data's mean.
        Interrupted: ``stop`` said so.
    """
    # Put the data and the model on the device.
    data = torch.from_numpy(items).to(device)
    ceiling = DIVERGED_FACTOR * form.variance(items)
    logged = (*WINDOW, form.error)
    model.to(device).to(memory_format=torch.channels_last).train()
    model.autocast = settings.precision == "bf16"
    batches = Batches(len(items), settings.batch_size, seed, device)

    # Construct the optimizer; learning rates enter as tensors.
    optimizer = adam(model, settings, device)
    base = [float(group["lr"]) for group in optimizer.param_groups]

    # Resume, or initialise what depends on data.
    state = restore(checkpoint, identity, model, optimizer)
    if state is None:
        state = State()
        torch.manual_seed(seed + 1)
        with torch.no_grad():
            model.quantizer.initialize(model.encode(form.batch(data[batches.batch(0)])))
    if probe is not None:
        probe.maps = state.maps

    every = max(1, settings.steps // settings.points)
    window = torch.tensor(state.window, device=device)
    saved = time.monotonic()
    t = torch.zeros((), device=device)
    chosen = batches.batch(state.step).clone()

    quantize = faster(model, form.batch(data[chosen]), settings.steps)
    recorded = model.recordable and device.type == "cuda"
    state.variant = (
        "recorded" if recorded else "plain" if quantize is model.quantizer else "compiled"
    )

    def step() -> dict[str, Tensor]:
        # Set the schedules.
        rate = learning_rate(t, settings)
        for group, start in zip(optimizer.param_groups, base, strict=True):
            group["lr"].copy_(rate * start / settings.learning_rate)
        scheduled = {"lr": rate} | model.quantizer.anneal(t)

        # Encode, quantize, decode.
        x = form.batch(data[chosen])
        z_e = model.encode(x)
        quantized = quantize(z_e)
        x_hat = model.decode(quantized.z_q)
        reconstruction = model.quantizer.reconstruction_loss(x_hat, x)
        loss = reconstruction + quantized.loss

        # Take one step.
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            model.quantizer.update(z_e.detach(), quantized.tokens)
            window.add_(torch.stack([loss, reconstruction, functional.mse_loss(x_hat, x)]))
        return scheduled | quantized.terms

    take = Replay(step) if recorded else step
    while state.step < settings.steps:
        # Stop or save.
        stopped = stop()
        due = time.monotonic() - saved > checkpoint_s
        if checkpoint is not None and (stopped or due):
            state.window = window.tolist()
            save(checkpoint, identity, model, optimizer, state)
            saved = time.monotonic()
        if stopped:
            raise Interrupted(f"stopped at step {state.step}")

        # Say which step it is, and take it.
        t.fill_(state.step * PAPER_STEPS / settings.horizon)
        chosen.copy_(batches.batch(state.step))
        terms = take()
        state.step += 1

        # Write a point of the curve: the only place where the trainer waits for the device.
        if state.step % every == 0 or state.step == settings.steps:
            count = state.step % every or every
            values = dict(zip(logged, (window / count).tolist(), strict=True))
            if reason := divergence(values, state.step, ceiling):
                raise Diverged(reason, state.curve)
            values |= {k: float(v) for k, v in terms.items()}
            model.eval()
            values |= probe(model) if probe is not None else {}
            model.train()
            state.curve += [(state.step, name, value) for name, value in values.items()]
            report(state.step, values)
            window.zero_()
    model.eval()
    return state


class Batches:
    """Which items make which batch: without replacement per epoch, a function of seed and step."""

    def __init__(self, count: int, batch_size: int, seed: int, device: torch.device):
        self.batch_size = min(batch_size, count)
        self.per_epoch = count // self.batch_size  # the last partial batch is dropped
        self.count, self.seed, self.device = count, seed, device
        self.epoch = -1

    def batch(self, step: int) -> Tensor:
        """Indices (B,) of the batch of one step."""
        epoch, i = divmod(step, self.per_epoch)
        if epoch != self.epoch:
            order = schedules.epoch_order(self.count, self.seed, epoch)
            self.order = torch.from_numpy(order).to(self.device)
            self.epoch = epoch
        return self.order[i * self.batch_size : (i + 1) * self.batch_size]


def adam(model: DiscreteVAE, settings: Train, device: torch.device) -> torch.optim.Adam:
    """One Adam over the networks and the quantizer's own groups (the paper, appendix C)."""
    networks = [*model.encoder.parameters(), *model.decoder.parameters()]
    groups: list[dict[str, Any]] = [{"params": networks, "lr": settings.learning_rate}]
    groups += [g for g in model.quantizer.parameter_groups(settings.learning_rate) if g["params"]]
    for group in groups:
        group["lr"] = torch.tensor(float(group["lr"]), device=device)
    return torch.optim.Adam(groups, fused=True, capturable=device.type == "cuda")


def learning_rate(t: Tensor, settings: Train) -> Tensor:
    """Learning rate (0-d) at t of the paper's 150 000 steps: a ramp, then constant."""
    form = {"quarter_cosine": schedules.quarter_cosine, "half_cosine": schedules.half_cosine}
    ends = settings.learning_rate, settings.final_learning_rate
    return form[settings.anneal](t, *ends, settings.ramp)


def divergence(values: dict[str, float], step: int, ceiling: float) -> str:
    """Why a window's averages mean divergence, or ""; ``ceiling`` is on the last, the error."""
    for name, value in values.items():
        if not np.isfinite(value):
            return f"{name} is {value} by step {step}"
    if step >= DIVERGED_AFTER and value > ceiling:
        return (
            f"{name} {value:.4g} by step {step}: over {DIVERGED_FACTOR:g} times the error of the "
            "data's mean"
        )
    return ""


def save(
    path: Path,
    identity: str,
    model: DiscreteVAE,
    optimizer: torch.optim.Optimizer,
    state: State,
) -> None:
    """Writes a checkpoint beside ``path`` and renames it over the last one."""
    content: dict[str, Any] = {
        "identity": identity,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "step": state.step,
        "curve": state.curve,
        "window": state.window,
        "maps": [torch.from_numpy(entropies) for entropies in state.maps],
        "rng": torch.get_rng_state(),
        "cuda_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            torch.save(content, file)

    disk.replace_atomically(path, write, Path.stat)


def restore(
    path: Path | None, identity: str, model: DiscreteVAE, optimizer: torch.optim.Optimizer
) -> State | None:
    """Loads a checkpoint into model, optimizer and the global generators.

    Returns:
        Where the run stands; None if there is no checkpoint, or one that is set aside because it
        is damaged or of another job, which leaves the model as it was.
    """
    if path is None or not resumable(path):
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        if content["identity"] != identity:
            raise ValueError("it is of another job")
        curve = [(step, name, value) for step, name, value in content["curve"]]
        maps = [entropies.numpy() for entropies in content["maps"]]
        state = State(content["step"], curve, content["window"], maps)
        refuse_other(content["model"], model)
        optimizer.load_state_dict(content["optimizer"])
        for group in optimizer.param_groups:  # the checkpoint may come from another device
            group["lr"] = group["lr"].to(group["params"][0].device)
            group["capturable"] = optimizer.defaults["capturable"]
        torch.set_rng_state(content["rng"])
        if content["cuda_rng"]:
            torch.cuda.set_rng_state_all(content["cuda_rng"])
    except UNUSABLE as error:
        set_aside(path, f"{type(error).__name__}: {error}")
        return None
    model.load_state_dict(content["model"])
    return state


def refuse_other(weights: dict[str, Tensor], model: DiscreteVAE) -> None:
    """Raises ``ValueError`` unless the weights are of such a model."""
    mine = {name: value.shape for name, value in model.state_dict().items()}
    if {name: value.shape for name, value in weights.items()} != mine:
        raise ValueError("its weights are of another model")
