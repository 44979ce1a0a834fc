"""Every method's quantizer alone, forward and backward on one thread, at the sizes of a small run.

Beside its own time stands how many times as fast it is compiled: that a method says ``compiles``
follows from here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from collapsebench.job import compiling
from collapsebench.job.process import keep_freed_memory
from collapsebench.plan import registry
from collapsebench.quantizer import Incompatible, Quantized
from collapsebench.settings import PAPER_STEPS

SHAPE, SIZE, DIM = (32, 8, 8), 512, 16  # batch, height, width; K; D
ROUNDS = 12
TARGETS = {"edvae": 3.0}
NOT_COMPILED = {"rotation_vq"}  # torch's compiler hands no gradient on to an output without one


def rows() -> list[dict[str, str | float]]:
    """Of each shipped method the milliseconds, and how many times as fast it is compiled."""
    keep_freed_memory()  # as the process of a job does
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [row for name in registry.names("methods") for row in measure(name)]
    finally:
        torch.set_num_threads(threads)


def measure(name: str) -> Iterator[dict[str, str | float]]:
    """The rows of one method; none of one that cannot have these sizes."""
    method = registry.method_class(name)
    try:
        quantizer = method(SIZE, method.dim_for(SIZE) or DIM, method.Settings()).train()
    except Incompatible:
        return
    quantizer.anneal(torch.tensor(PAPER_STEPS / 2))
    z_e = torch.randn(SHAPE[0], quantizer.encoder_channels, *SHAPE[1:])
    z_e = z_e.to(memory_format=torch.channels_last).requires_grad_()
    with torch.no_grad():
        quantizer.initialize(z_e)
    at = {"name": f"quantizers/{name}", "device": "cpu", "unit": "ms"}
    if name in NOT_COMPILED:
        yield at | {"value": 1e3 * min(seconds(quantizer, z_e) for _ in range(ROUNDS))}
        return
    forward = torch.compile(quantizer.forward, dynamic=False, options=compiling.OPTIONS)
    seconds(forward, z_e)  # compiles
    pairs = [(seconds(quantizer, z_e), seconds(forward, z_e)) for _ in range(ROUNDS)]
    plain, compiled = (min(each) for each in zip(*pairs, strict=True))
    yield at | {"value": 1e3 * plain}
    at = {"name": f"quantizers/{name}_compiled", "device": "cpu", "unit": "x plain"}
    target = {"target": TARGETS[name]} if name in TARGETS else {}
    yield at | {"value": plain / compiled} | target


def seconds(forward: Callable[[Tensor], Quantized], z_e: Tensor) -> float:
    """CPU time of one forward and backward."""
    z_e.grad = None
    start = time.thread_time()
    output = forward(z_e)
    loss = output.z_q.square().mean() + output.loss
    if loss.requires_grad:  # not of codes drawn at random
        loss.backward()
    return time.thread_time() - start
