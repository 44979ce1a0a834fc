"""Training of the prior: held-out share, loss curve, checkpoints, early stopping."""

from __future__ import annotations

import copy
import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from collapsebench.prior.network import PixelSNAIL
from collapsebench.results import disk
from collapsebench.results.folder import UNUSABLE, resumable, set_aside
from collapsebench.schedules import epoch_order
from collapsebench.settings import Prior, UserError, digest, plain

CURVE_POINTS = 500  # of a stored curve, at most
WARM_UP = 0.3  # share of the steps, schedule="cosine": rosinality, scheduler.py, CycleScheduler
FIRST = 1 / 25  # of the peak learning rate, likewise
LAST = FIRST / 1e4  # of the peak learning rate, likewise

FitCurve = list[tuple[int, dict[str, float]]]
FitProgress = Callable[[int, int, dict[str, float]], None]


@dataclass(frozen=True)
class Fitted:
    """A trained prior.

    Attributes:
        model: in eval mode, on the device it was trained on; the last weights, or with early
            stopping those that were best on the held-out grids.
        curve: (step, {"prior_loss", "prior_held_out"}), nats per token, at most 500 points. With Q
            codebooks a position has Q tokens, and Q times as many nats as one of them.
        nll_train: nats per token over the grids trained on.
        nll_held_out: nats per token over the held-out grids; NaN if none were held out.
        epochs_run: fewer than asked for only with early stopping.
    """

    model: PixelSNAIL
    curve: FitCurve
    nll_train: float
    nll_held_out: float
    epochs_run: int


@dataclass
class FitState:
    """Where a fit stands: steps and epochs done, this epoch's losses, the best weights so far."""

    step: int = 0
    epoch: int = 0
    losses: list[float] = field(default_factory=list)
    curve: FitCurve = field(default_factory=list)
    best: float = math.inf
    since_best: int = 0  # epochs
    best_weights: dict[str, Tensor] = field(default_factory=dict)  # only with early stopping


def fit(
    tokens: np.ndarray,
    settings: Prior,
    *,
    codebook_size: int,
    seed: int,
    device: torch.device,
    checkpoint: Path | None = None,
    checkpoint_s: float = 60.0,
    progress: FitProgress = lambda step, steps, values: None,
) -> Fitted:
    """Trains a prior on token grids (N, H, W) or (N, H, W, Q) by cross-entropy, nats per token.

    Adam with its default moments; batches without replacement, the last partial one of an epoch
    dropped (rosinality, train_pixelsnail.py).

    Args:
        checkpoint: a file to resume from and to write every ``checkpoint_s`` seconds; one
            left by other tokens, settings or seed, or damaged, is set aside. Removing it is the
            caller's part.
        progress: called after each step with steps done, steps asked for and the values of the
            last finished epoch; what it raises ends the fit, its checkpoint written.

    Raises:
        UserError: tokens of another shape or not in [0, codebook_size), or too few to hold out.
        FloatingPointError: the loss is not finite.
    """
    # Split the grids and put them on the device.
    check(tokens, settings, codebook_size)
    kept, held_out = split(tokens, settings.held_out, seed)
    data = torch.from_numpy(kept.astype(np.int32)).to(device)
    batch_size = min(settings.batch_size, len(data))
    per_epoch = len(data) // batch_size
    steps = per_epoch * settings.epochs

    # Construct the network and its optimizer, or resume.
    torch.manual_seed(seed)
    height, width, codebooks = (*tokens.shape[1:], 1)[:3]
    model = PixelSNAIL(codebook_size, height, width, settings, codebooks).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=True)
    identity = fingerprint(tokens, settings, codebook_size, seed)
    state = restore(checkpoint, identity, model, optimizer) or FitState()

    saved = time.monotonic()
    while state.epoch < settings.epochs and not exhausted(state, settings):
        done = state.step - state.epoch * per_epoch
        order = torch.from_numpy(epoch_order(len(data), seed, state.epoch)).to(device)
        losses = torch.zeros(per_epoch, device=device)
        losses[:done] = torch.tensor(state.losses[:done], device=device)
        model.train()
        for i in range(done, per_epoch):
            # Take one step.
            batch = data[order[i * batch_size : (i + 1) * batch_size]].long()
            rate = learning_rate(state.step, steps, settings)
            losses[i] = take_step(model, optimizer, batch, rate, settings.precision == "bf16")
            state.step += 1

            # Say how far it is; save now and then, and before it is stopped.
            stopped = True
            try:
                progress(state.step, steps, state.curve[-1][1] if state.curve else {})
                stopped = False
            finally:
                due = stopped or time.monotonic() - saved > checkpoint_s
                if checkpoint is not None and due:
                    state.losses = finite(losses[: i + 1], state.step)
                    save(checkpoint, identity, model, optimizer, state)
                    saved = time.monotonic()

        # End the epoch: the only place that waits for the device.
        state.losses = finite(losses, state.step)
        held_out_loss = nll(model, held_out, batch_size=batch_size, device=device)
        end_epoch(state, settings, model, held_out_loss)

    if state.best_weights:
        model.load_state_dict(state.best_weights)
    return Fitted(
        model=model.eval(),
        curve=state.curve,
        nll_train=nll(model, kept, batch_size=batch_size, device=device),
        nll_held_out=nll(model, held_out, batch_size=batch_size, device=device),
        epochs_run=state.epoch,
    )


def take_step(
    model: PixelSNAIL, optimizer: torch.optim.Optimizer, batch: Tensor, rate: float, bf16: bool
) -> Tensor:
    """One optimizer step on a batch of grids, int64; the 0-d loss before it, detached."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    with torch.autocast(batch.device.type, torch.bfloat16, bf16):
        logits = model(batch)
    loss = functional.cross_entropy(logits.float(), batch)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return loss.detach()


def check(tokens: np.ndarray, settings: Prior, codebook_size: int) -> None:
    """Raises ``UserError`` on tokens or settings that no prior can be trained on."""
    if tokens.ndim != 3 and (tokens.ndim != 4 or tokens.shape[3] < 2):
        raise UserError(
            f"the prior reads tokens of shape (N, H, W) or (N, H, W, Q), got {tokens.shape}"
        )
    if len(tokens) < 2:
        raise UserError(f"the prior needs at least 2 token grids, got {len(tokens)}")
    if tokens.min() < 0 or tokens.max() >= codebook_size:
        raise UserError(
            f"tokens from {tokens.min()} to {tokens.max()} do not fit a codebook of "
            f"{codebook_size} codes"
        )
    if settings.early_stopping and not settings.held_out:
        raise UserError("'prior.early_stopping' needs 'prior.held_out' above 0")


def split(tokens: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(kept, held out): a seeded share of the grids; of any share at least one, never all."""
    count = min(max(round(share * len(tokens)), 1), len(tokens) - 1) if share else 0
    order = np.random.default_rng(seed).permutation(len(tokens))
    return tokens[np.sort(order[count:])], tokens[np.sort(order[:count])]


def learning_rate(step: int, steps: int, settings: Prior) -> float:
    """Constant, or a linear warm-up from 1/25 of the peak and a cosine down to 1/250 000 of it.

    Source: rosinality/vq-vae-2-pytorch, scheduler.py, CycleScheduler, commit ef5f67c.

    Args:
        step: steps done before this one, in [0, steps).
    """
    peak = settings.learning_rate
    if settings.schedule == "constant":
        return peak
    warm_up = int(WARM_UP * steps)
    if step < warm_up:
        return peak * (FIRST + (1 - FIRST) * (step + 1) / warm_up)
    share = (step + 1 - warm_up) / (steps - warm_up)
    return peak * (LAST + (1 - LAST) * (1 + math.cos(math.pi * share)) / 2)


def finite(losses: Tensor, step: int) -> list[float]:
    """``losses`` of this epoch, the last of them that of ``step``, as floats.

    Raises:
        FloatingPointError: names the first step whose loss is not finite.
    """
    values = losses.tolist()
    for i, value in enumerate(values):
        if not math.isfinite(value):
            raise FloatingPointError(
                f"prior loss is not finite at step {step - len(values) + i + 1}"
            )
    return values


def end_epoch(state: FitState, settings: Prior, model: PixelSNAIL, held_out_loss: float) -> None:
    """Counts the epoch, adds a point to the curve, keeps the weights if they are the best."""
    values = {"prior_loss": float(np.mean(state.losses)), "prior_held_out": held_out_loss}
    state.epoch, state.losses = state.epoch + 1, []
    if state.epoch % -(-settings.epochs // CURVE_POINTS) == 0 or state.epoch == settings.epochs:
        state.curve.append((state.step, values))
    if not settings.early_stopping:
        return
    state.since_best += 1
    if held_out_loss < state.best:
        state.best, state.since_best = held_out_loss, 0
        state.best_weights = copy.deepcopy(model.state_dict())


def exhausted(state: FitState, settings: Prior) -> bool:
    """Whether early stopping has run out of patience."""
    return bool(settings.early_stopping) and state.since_best >= settings.early_stopping


@torch.inference_mode()
def nll(model: PixelSNAIL, tokens: np.ndarray, *, batch_size: int, device: torch.device) -> float:
    """Negative log-likelihood of token grids, nats per token, without dropout, in float32.

    A position with tokens of Q codebooks has Q times as many. Leaves the model in eval mode; NaN
    for N = 0.
    """
    model.eval()
    total = torch.zeros((), dtype=torch.float64, device=device)
    for first in range(0, len(tokens), batch_size):
        chunk = tokens[first : first + batch_size].astype(np.int64)
        batch = torch.from_numpy(chunk).to(device)
        total += functional.cross_entropy(model(batch), batch, reduction="sum")
    return float(total) / tokens.size if tokens.size else math.nan


def fingerprint(tokens: np.ndarray, settings: Prior, codebook_size: int, seed: int) -> str:
    """16 hex digits: what a checkpoint must have been trained on to be resumed."""
    content = hashlib.sha256(np.ascontiguousarray(tokens).data).hexdigest()
    return digest([content, list(tokens.shape), plain(settings), codebook_size, seed])


def save(
    path: Path,
    identity: str,
    model: PixelSNAIL,
    optimizer: torch.optim.Optimizer,
    state: FitState,
) -> None:
    """Writes a checkpoint, atomically; tensors and plain values only."""
    content: dict[str, Any] = {
        "identity": identity,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "state": vars(state),
        "rng": torch.get_rng_state(),
        "cuda_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            torch.save(content, file)

    disk.replace_atomically(path, write, load)


def load(path: Path) -> dict[str, Any]:
    """The content of a checkpoint, on the CPU."""
    return torch.load(path, map_location="cpu", weights_only=True)


def restore(
    path: Path | None, identity: str, model: PixelSNAIL, optimizer: torch.optim.Optimizer
) -> FitState | None:
    """Puts a checkpoint's weights and generators in place; None if there is none of this fit."""
    if path is None or not resumable(path):
        return None
    try:
        content = load(path)
        if content["identity"] != identity:
            raise ValueError("it is of other tokens, settings or seed")
        model.load_state_dict(content["model"])
        optimizer.load_state_dict(content["optimizer"])
        torch.set_rng_state(content["rng"])
        if content["cuda_rng"]:
            torch.cuda.set_rng_state_all(content["cuda_rng"])
        return FitState(**content["state"])
    except UNUSABLE as error:
        set_aside(path, f"{type(error).__name__}: {error}")
        return None
