"""Compiles a quantizer on a CPU, forward and backward, for trainings long enough to earn it.

At small sizes it is the quantizer that costs, one pass over all distances or logits after the
other; compiled they are a few, each number read once. The networks gain nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from collapsebench.job.model import DiscreteVAE
from collapsebench.quantizer import Quantized

EARNS = 4e9  # distances, times steps, from which on seconds of compiling come back many times over
# Noise stays torch's own, drawn as without; one process compiles, which the job's stop reaches.
OPTIONS: dict[str, str | int | bool | Callable[..., object]] = {
    "fallback_random": True,
    "compile_threads": 1,
}


def faster(model: DiscreteVAE, x: Tensor, steps: int) -> Callable[[Tensor], Quantized]:
    """The forward that ``steps`` steps on batches like ``x`` should call: compiled, or as it is.

    Compiling needs a C++ compiler; what it makes is kept for later processes. It is tried once,
    which changes neither the model nor any generator.
    """
    quantizer = model.quantizer
    if not quantizer.compiles or x.device.type != "cpu":
        return quantizer
    model.eval()  # a network's statistics and noise are for its steps
    with torch.no_grad():
        z_e = model.encode(x)
    model.train()
    if float(z_e[:, 0].numel()) * quantizer.codebook_size * steps < EARNS:
        return quantizer
    forward = torch.compile(quantizer.forward, dynamic=False, options=OPTIONS)
    try:
        with torch.random.fork_rng(devices=[]):
            tried = forward(z_e.requires_grad_())
            (tried.z_q.sum() + tried.loss).backward()
    except RuntimeError as error:  # of the compiler, of which there may be none
        print(f"train: the quantizer is not compiled: {str(error).splitlines()[0]}", flush=True)
        return quantizer
    finally:
        quantizer.zero_grad()
    return forward
