"""A training step that a GPU records once and repeats as one launch (a CUDA graph).

At the sizes of a benchmark most of a step on a GPU is the time to start its several hundred
kernels one by one from Python; a recorded step starts them all at once, in the same order, on the
same memory, with the noise that ordinary steps would have drawn.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

ORDINARY = 50  # steps before the recording: whatever is built on first use is built in them


class Replay:
    """Calls a step again and again; after ``ORDINARY`` calls its recording is repeated instead.

    The step takes no argument: what changes between two calls it reads from tensors that the
    caller overwrites. What it returns are tensors, which every repetition overwrites.

    Args:
        step: the step, nothing in which may wait for the GPU or differ between calls in Python.
    """

    def __init__(self, step: Callable[[], dict[str, Tensor]]):
        self.step = step
        self.calls = 0
        self.stream = torch.cuda.Stream()
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> dict[str, Tensor]:
        """One step, ordinary or repeated."""
        self.calls += 1
        if self.graph is None and self.calls <= ORDINARY:
            return self._beside()
        if self.graph is None:
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph, stream=self.stream):
                self.result = self.step()  # recorded, not run
        self.graph.replay()
        return self.result

    def _beside(self) -> dict[str, Tensor]:
        # The recording's own stream: autograd remembers where a gradient was first accumulated.
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            result = self.step()
        torch.cuda.current_stream().wait_stream(self.stream)
        return result
