"""Which form of the training step runs: plain, or compiled where that was measured to pay.

A compiled step is the same arithmetic in another order: losses agree to float32 rounding, so the
variant is a column of ``runs`` and no part of an id.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch._dynamo.exc import TorchDynamoException
from torch.nn import functional

from collapsebench.job.model import DiscreteVAE
from collapsebench.quantizer import Quantized
from collapsebench.settings import Train

# Steps per second compiled / plain at the paper's width, by device and method: the rows
# training/<method>_compiled of tests/speed/results.json. What was not measured runs plain.
MEASURED: dict[str, dict[str, float]] = {
    "cpu": {
        "vq_vae_ema": 1.01,
        "gs_vq_vae": 0.99,
        "sq_vae": 0.9,
        "vq_ste_pp": 0.98,
        "dvae": 1.03,
        "edvae": 0.97,
    }
}
PAYS = 1.05  # less is within the noise of a measurement
LONG = 10_000  # steps; a shorter job may end before compiling has paid for itself

WINDOW = ("loss", "reconstruction", "mse")  # what a step logs

Step = Callable[[Tensor], tuple[Tensor, Tensor, Tensor, Quantized]]


def choose(method: str, settings: Train, device: torch.device) -> tuple[str, str]:
    """The fastest variant that the settings allow, and why it was taken, for the log.

    Args:
        method: a method's name.
        settings: the steps to come and their precision.
        device: where they run.
    """
    if settings.precision == "bf16":
        return "bf16", "train.precision"
    gain = MEASURED.get(device.type, {}).get(method)
    if gain is None or gain < PAYS:
        return "plain", f"compiling {method} was not measured to pay on this kind of device"
    if settings.steps < LONG:
        return "plain", f"compiling pays from {LONG} steps on"
    if shutil.which(os.environ.get("CXX", "c++")) is None:
        return "plain", "no C++ compiler was found"
    return "compiled", f"measured {gain:.2f} times as fast"


def step_of(model: DiscreteVAE, variant: str) -> Step:
    """Images (B, 3, H, W) -> loss, ``WINDOW`` (3,) for the log, z_e, what was quantized.

    Compiled, the first call takes up to a minute; if it fails, it says so and goes on plain.
    """

    def plain(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Quantized]:
        z_e = model.encode(x)
        quantized = model.quantizer(z_e)
        x_hat = model.decode(quantized.z_q)
        reconstruction = model.quantizer.reconstruction_loss(x_hat, x)
        loss = reconstruction + quantized.loss
        log = torch.stack([loss, reconstruction, functional.mse_loss(x_hat, x)])
        return loss, log.detach(), z_e.detach(), quantized

    return guarded(plain) if variant == "compiled" else plain


def guarded(plain: Step) -> Step:
    """The compiled step, or the plain one for good if compiling it fails at the first call."""
    chosen: Step | None = None

    def step(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Quantized]:
        nonlocal chosen
        if chosen is not None:
            return chosen(x)
        # Random numbers as without compiling, so that variants can be compared.
        compiled: Step = torch.compile(plain, options={"fallback_random": True})
        state, start = torch.get_rng_state(), time.perf_counter()
        try:
            found, chosen = compiled(x), compiled
            print(f"train: compiled in {time.perf_counter() - start:.0f} s", flush=True)
        except (RuntimeError, TorchDynamoException) as error:
            reason = str(error).strip().splitlines()[:1]
            print(f"train: compiling failed, goes on plain: {''.join(reason)}", flush=True)
            torch.set_rng_state(state)
            found, chosen = plain(x), plain
        return found

    return step
