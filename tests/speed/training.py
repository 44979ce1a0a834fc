"""Training steps at the paper's width: the trainer against a plain loop, against what the
processor can do, and where time goes.

Batch 128 of 32 x 32 images, networks at their default width (dalle 128), K = 512, D = 16. Each
measurement is a process of its own, so that its peak memory is its own, and takes the fastest of
its steps: on an idle machine that is the one that nothing disturbed.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from collapsebench.datasets import IMAGES as FORM
from collapsebench.job import model, train
from collapsebench.job.process import keep_freed_memory
from collapsebench.plan import registry
from collapsebench.results import provenance
from collapsebench.settings import PAPER_STEPS, Train
from tests import plain_loop

METHODS = ("vq_vae_ema", "gs_vq_vae", "sq_vae", "vq_ste_pp", "dvae", "edvae")
TARGETS = {"edvae": 4.0, "dvae": 3.0}  # DESIGN: with bf16 arithmetic; every other method 1
SIZES = (128, 256, 512, 1024, 2048)
BATCH, SIZE, DIM, IMAGES = 128, 512, 16, 1024
AT_LEAST = 6  # steps
SECONDS = 8.0  # of steps to take the fastest of
SQUARE = 4096  # of the matrices whose product is the processor's best rate
CPU = torch.device("cpu")


def rows() -> list[dict[str, str | float]]:
    """Per method: steps per second, their ratio to the plain loop, memory, split, sizes."""
    best = alone("product")["gflop_s"]
    found = [row("matrix_product", best, "GFLOP/s")]
    return found + [row for method in METHODS for row in measure(method, best)]


def measure(method: str, best: float) -> Iterator[dict[str, str | float]]:
    """The rows of one method; ``best`` is the processor's rate in GFLOP/s."""
    plain, own = alone("plain", method), alone("own", method)
    if bf16_arithmetic():
        yield row(f"{method}_bf16", own["step_s"] / alone("bf16", method)["step_s"], "x own")
    yield row(f"{method}_plain_loop", 1 / plain["step_s"], "steps/s")
    yield row(f"{method}_own", 1 / own["step_s"], "steps/s")
    yield row(f"{method}_own_ratio", plain["step_s"] / own["step_s"], "x plain loop",
              TARGETS.get(method, 1.0))  # fmt: skip
    work = alone("work", method)["gflop"]
    yield row(f"{method}_work", work, "GFLOP a step")
    yield row(f"{method}_roofline", 100 * work / own["step_s"] / best, "% of the matrix product")
    yield row(f"{method}_memory_plain_loop", plain["memory_mb"], "MB")
    yield row(f"{method}_memory_own", own["memory_mb"], "MB")
    for part, share in alone("split", method).items():
        yield row(f"{method}_share_{part}", 100 * share, "% of a step")
    for size, seconds in alone("sizes", method).items():
        yield row(f"{method}_quantizer_K{size}", 1e3 * seconds, "ms forward and backward")


def row(name: str, value: float, unit: str, target: float | None = None) -> dict[str, Any]:
    """One measured number."""
    found: dict[str, Any] = {
        "name": f"training/{name}", "device": "cpu", "value": value, "unit": unit
    }  # fmt: skip
    return found if target is None else found | {"target": target}


def bf16_arithmetic() -> bool:
    """Whether the processor multiplies bfloat16 itself; without, bf16 is several times slower."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def alone(what: str, method: str = "") -> dict[str, float]:
    """One measurement in its own process."""
    command = [sys.executable, "-m", "tests.speed.training", what, method]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, float] = json.loads(said.splitlines()[-1])
    return found


def fresh(method: str, codebook_size: int = SIZE) -> model.DiscreteVAE:
    """The method on its own network at default width."""
    cls = registry.method_class(method)
    family = registry.network_module(cls.network)
    return model.build(
        cls, family, image_size=32, codebook_size=codebook_size, code_dim=DIM,
        method_settings=cls.Settings(), network_settings=family.Settings(), seed=0,
    )  # fmt: skip


def images() -> np.ndarray:
    """Noise: what an image shows takes no time."""
    return np.random.default_rng(0).integers(0, 256, (IMAGES, 32, 32, 3), dtype=np.uint8)


class Clock:
    """Times between ticks; the first is the one that warms up."""

    def __init__(self) -> None:
        self.taken: list[float] = []
        self.last = time.perf_counter()

    def tick(self) -> bool:
        """Notes a step; True once enough were."""
        now = time.perf_counter()
        self.taken.append(now - self.last)
        self.last = now
        return len(self.taken) > AT_LEAST and sum(self.taken[1:]) > SECONDS

    def found(self) -> dict[str, float]:
        """Seconds of the fastest step after the first, and the peak memory."""
        memory = provenance.peak_memory_bytes() / 1e6
        return {"step_s": min(self.taken[1:]), "memory_mb": memory}


def plain(method: str) -> dict[str, float]:
    """The plain loop."""
    clock = Clock()
    for _ in plain_loop.losses(fresh(method), images(), Train(), seed=0):
        if clock.tick():
            break
    return clock.found()


def fitted(method: str, precision: str = "fp32") -> dict[str, float]:
    """The trainer, stopped from outside when enough steps are taken."""
    clock: Clock | None = None

    def stop() -> bool:  # asked before each step
        nonlocal clock
        if clock is None:
            clock = Clock()
            return False
        return clock.tick()

    settings = Train(precision=precision)  # type: ignore[arg-type]
    with contextlib.suppress(train.Interrupted):
        train.fit(fresh(method), images(), settings, seed=0, device=CPU, stop=stop)
    assert clock is not None
    return clock.found()


def split(method: str) -> dict[str, float]:
    """Shares of a step, forward and backward of each part together."""
    network = fresh(method).to(memory_format=torch.channels_last).train()
    network.quantizer.anneal(torch.tensor(PAPER_STEPS / 2))
    data = torch.from_numpy(images())
    batches = train.Batches(len(data), BATCH, 0, CPU)
    optimizer = train.adam(network, Train(), CPU)
    with torch.no_grad():
        network.quantizer.initialize(network.encode(FORM.batch(data[batches.batch(0)])))
    best: dict[str, float] = {}
    for step in range(AT_LEAST):
        taken: dict[str, float] = {}
        for part, seconds in parts(network, data, batches.batch(step), optimizer):
            taken[part] = taken.get(part, 0.0) + seconds
        best = {part: min(s, best.get(part, s)) for part, s in taken.items()}
    return {part: seconds / sum(best.values()) for part, seconds in best.items()}


def parts(
    network: model.DiscreteVAE, data: Tensor, batch: Tensor, optimizer: torch.optim.Adam
) -> Iterator[tuple[str, float]]:
    """(part, seconds) of one training step, cut at what the parts hand to each other."""

    def timed(part: str, function: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        found = function()
        seconds.append((part, time.perf_counter() - start))
        return found

    seconds: list[tuple[str, float]] = []
    quantizer = network.quantizer
    x = timed("data", lambda: FORM.batch(data[batch]))
    z_e = timed("encoder", lambda: network.encode(x))
    z_e_cut = z_e.detach().requires_grad_()
    quantized = timed("quantizer", lambda: quantizer(z_e_cut))
    z_q_cut = quantized.z_q.detach().requires_grad_()
    loss = timed("decoder", lambda: quantizer.reconstruction_loss(network.decode(z_q_cut), x))
    optimizer.zero_grad(set_to_none=True)
    timed("decoder", loss.backward)
    outputs, gradients = [quantized.z_q, quantized.loss], [z_q_cut.grad, torch.ones(())]
    timed("quantizer", lambda: torch.autograd.backward(outputs, gradients))
    timed("encoder", lambda: z_e.backward(z_e_cut.grad))
    timed("optimizer", optimizer.step)
    with torch.no_grad():
        timed("quantizer", lambda: quantizer.update(z_e.detach(), quantized.tokens))
    return iter(seconds)


def work(method: str) -> dict[str, float]:
    """Multiplications and additions of a step's convolutions and products, both directions."""
    network = fresh(method).train()
    x = FORM.batch(torch.from_numpy(images())[:BATCH])
    with FlopCounterMode(display=False) as counter:
        quantized = network.quantizer(network.encode(x))
        x_hat = network.decode(quantized.z_q)
        (network.quantizer.reconstruction_loss(x_hat, x) + quantized.loss).backward()
    return {"gflop": counter.get_total_flops() / 1e9}


def product(_: str) -> dict[str, float]:
    """The fastest float32 product of two large matrices, with all threads."""
    a, b = torch.randn(2, SQUARE, SQUARE)
    clock = Clock()
    for _step in range(AT_LEAST):
        a @ b
        clock.tick()
    return {"gflop_s": 2 * SQUARE**3 / clock.found()["step_s"] / 1e9}


def sizes(method: str) -> dict[str, float]:
    """Codebook size -> seconds of the quantizer's forward and backward at 8 x 8 positions."""
    found = {}
    for size in SIZES:
        quantizer = fresh(method, size).quantizer.train()
        quantizer.anneal(torch.tensor(PAPER_STEPS / 2))
        z_e = torch.randn(BATCH, quantizer.encoder_channels, 8, 8)
        z_e = z_e.to(memory_format=torch.channels_last).requires_grad_()
        with torch.no_grad():
            quantizer.initialize(z_e)
        clock = Clock()
        for _ in range(AT_LEAST):
            quantized = quantizer(z_e)
            (quantized.z_q.square().mean() + quantized.loss).backward()
            clock.tick()
        found[str(size)] = clock.found()["step_s"]
    return found


MEASUREMENTS: dict[str, Callable[[str], dict[str, float]]] = {
    "plain": plain,
    "own": fitted,
    "bf16": lambda method: fitted(method, precision="bf16"),
    "split": split,
    "work": work,
    "product": product,
    "sizes": sizes,
}

if __name__ == "__main__":
    if sys.argv[1] != "plain":
        keep_freed_memory()  # as the process of a job does
    print(json.dumps(MEASUREMENTS[sys.argv[1]](sys.argv[2])))
