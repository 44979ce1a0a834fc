"""What a stage of a job takes: seconds on a named device, bytes on disk.

Seconds come from measured siblings (same method, network, sizes and device) where there are any,
else from arithmetic: counted multiply-adds over the rate of the device.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from collapsebench.datasets import Dataset, Size, form_of
from collapsebench.networks import refuse_unread
from collapsebench.plan import registry, userfile
from collapsebench.plan.job import Job
from collapsebench.quantizer import Incompatible
from collapsebench.results import tables
from collapsebench.settings import PIPELINE

# Sustained training rate in multiply-adds per second. a100: that of the paper, which trained EdVAE
# on CIFAR10 for 150 000 steps of 128 images in 12 h (appendix C). h100, h200: the same by their
# makers' memory bandwidth, 3.35 and 4.8 TB/s to the A100's 2.04, which bounds small convolutions.
# cpu: one core at 30 % of the 94 GFLOP/s that a large float32 matrix product reached on an EPYC.
A100 = 9.7e12
RATES = {"a100": A100, "h100": A100 * 3.35 / 2.04, "h200": A100 * 4.8 / 2.04, "cpu": 1.4e10}
START_S = 6.0  # of a core, that a job takes before its first step and after its last

SMALL = 2**20  # numbers in a codebook that may take memory

Widths = tuple[tuple[str, Any], ...]  # a network's settings
Network = tuple[str, Size, Widths]


def sibling(job: Job, stage: str) -> tuple[Any, ...]:
    """What makes two jobs take equally long in a stage."""
    steps = job.settings["train"]["steps"] if stage == "train" else stage
    return (stage, job.method, job.network, job.dataset, job.codebook_size, job.code_dim, steps)


def measured_seconds(results: Path, device: str) -> dict[tuple[Any, ...], float]:
    """Median seconds of finished stages on this kind of device, by ``sibling``.

    On a processor: as long as it would have taken with all cores busy on such jobs.
    """
    columns = ("status", "device", "device_name", "threads", "wall_s", "stage", "method", "network",
               "dataset", "codebook_size", "code_dim", "steps")  # fmt: skip
    cores = os.cpu_count() or 1
    measured: dict[tuple[Any, ...], list[float]] = {}
    for status, kind, name, threads, wall_s, stage, *same, steps in tables.tuples(
        results, "runs", columns
    ):
        on_cpu = kind == "cpu"
        here = on_cpu if device == "cpu" else not on_cpu and device in (name or "").lower()
        share = threads and threads / cores if device == "cpu" else 1.0
        if status == "done" and here and wall_s is not None and share:
            key = (stage, *same, steps if stage == "train" else stage)
            measured.setdefault(key, []).append(wall_s * share)
    return {key: float(np.median(values)) for key, values in measured.items()}


def seconds(job: Job, stage: str, device: str, siblings: dict[tuple[Any, ...], float]) -> float:
    """What a stage takes: as long as its measured siblings, else as modelled."""
    found = siblings.get(sibling(job, stage))
    return modelled_seconds(job, stage, device) if found is None else found


def modelled_seconds(job: Job, stage: str, device: str) -> float:
    """Seconds from counted multiply-adds, at the rate of a training on the device."""
    rate = RATES[device] * (os.cpu_count() or 1 if device == "cpu" else 1)
    return PIPELINE[stage].macs(Load(job), job.group(stage)) / rate


def gigabytes(job: Job, stages: Sequence[str]) -> float:
    """Size of what the stages leave on disk: weights, tokens, samples."""
    load = Load(job)
    return math.fsum(PIPELINE[stage].size(load, job.group(stage)) for stage in stages) / 1e9


class Load:
    """What there is to be worked through in a job; the costs in ``settings.PIPELINE`` rest on it.

    Attributes:
        images: of the train split; vectors and sequences count as such here.
        samples: images drawn from the prior.
        image_bytes, token_bytes: of one image, and of its tokens.
        prior_bytes: of the prior's weights.
    """

    def __init__(self, job: Job):
        self.job, self.side = job, image_side(job)
        self.positions = positions(job, self.side)
        self.images, self.samples = image_count(job), job.settings["sample"]["count"]
        self.image_bytes = math.prod(form_of(self.side).shape)
        self.token_bytes = self.positions * (1 if job.codebook_size <= 256 else 2)
        prior = job.group("prior")  # PixelSNAIL: 22 active taps, two convolutions in a layer
        residual = prior.blocks * prior.layers * 22 * 3 * prior.channels**2
        self.prior_weights = residual + prior.blocks * 14 * prior.channels**2
        self.prior_bytes = 4 * 1.2 * self.prior_weights

    @property
    def image_macs(self) -> float:
        """Multiply-adds of one image through the model."""
        return image_macs(self.job, self.side)

    @property
    def prior_macs(self) -> float:
        """Multiply-adds of one image's tokens through the prior."""
        last = self.job.settings["prior"]["channels"] * self.job.codebook_size
        return float(self.positions * (self.prior_weights + last))

    @property
    def feature_macs(self) -> float:
        """Multiply-adds of one image through the extractor."""
        return EXTRACTOR_MACS.get(self.job.settings["score"]["extractor"], 0.0)


EXTRACTOR_MACS = {"inception-v3-compat": 5.7e9, "cb-randconv-v1": 1.7e7}  # per image


def image_macs(job: Job, side: Size) -> float:
    """Multiply-adds of one image through encoder, nearest-code search and decoder."""
    channels = encoder_channels(
        job.files.get("method", job.method), job.codebook_size, job.code_dim
    )
    if channels == 0 or not positions(job, side):
        return 0.0  # the job ends at once, as a row that says so
    fixed, per_channel, per_dim = network_macs(*_network(job, side))
    search = job.codebook_size * job.code_dim * positions(job, side)
    return fixed + per_channel * channels + per_dim * job.code_dim + search


def positions(job: Job, side: Size) -> int:
    """Positions that the network makes of an image; 0 if it cannot read such items."""
    return _positions(*_network(job, side))


def _network(job: Job, side: Size) -> Network:
    widths = tuple(sorted(job.settings["network"].items()))
    return job.files.get("network", job.network), side, widths


@functools.cache
def _positions(network: str, side: Size, widths: Widths) -> int:
    try:
        latent = _counted_encoder(network, side, widths, 1)[1]
        _counted_decoder(network, side, widths, 1, latent)
    except (Incompatible, RuntimeError, MemoryError):  # sizes that do not fit, or fit no memory
        return 0
    return math.prod(latent)


@functools.cache
def encoder_channels(method: str, codebook_size: int, code_dim: int) -> int:
    """What the method wants from an encoder; 0 if it cannot be had, as its jobs will say."""
    cls = registry.method_class(method)
    # Large codes must take no memory; for small ones, "meta" loads torch's compiler for seconds.
    place = "meta" if codebook_size * code_dim > SMALL else "cpu"

    def channels() -> int:
        with Undrawn(), torch.device(place):
            return int(cls(codebook_size, code_dim, cls.Settings()).encoder_channels)

    if registry.find("methods", method).shipped:
        try:
            return channels()
        except Incompatible:
            return 0
    said = userfile.in_a_copy(channels)
    return said if isinstance(said, int) else 0


@functools.cache
def network_macs(network: str, side: Size, widths: Widths) -> tuple[float, float, float]:
    """Multiply-adds of an image: fixed, per channel out of the encoder, per one into the decoder.

    Only the encoder's last and the decoder's first convolution depend on the codebook, linearly.
    """
    encoder, latent = _counted_encoder(network, side, widths, 1)
    decoder = _counted_decoder(network, side, widths, 1, latent)
    channel = _counted_encoder(network, side, widths, 2)[0] - encoder
    dim = _counted_decoder(network, side, widths, 2, latent) - decoder
    return encoder - channel + decoder - dim, channel, dim


@functools.cache
def _counted_encoder(
    network: str, side: Size, widths: Widths, channels: int
) -> tuple[float, tuple[int, ...]]:
    """Multiply-adds of an image, and the axes of its positions, (H, W)."""
    family, form = registry.network_module(network), form_of(side)
    refuse_unread(family, form.noun)
    with Undrawn():
        encoder = family.Encoder(side, channels, family.Settings(**dict(widths)))
    macs, z_e = _counted(encoder, form.shape)
    return macs, tuple(z_e.shape[2:])


@functools.cache
def _counted_decoder(
    network: str, side: Size, widths: Widths, code_dim: int, latent: tuple[int, ...]
) -> float:
    """Multiply-adds of an image from its vectors (code_dim, *latent)."""
    family = registry.network_module(network)
    with Undrawn():
        decoder = family.Decoder(side, code_dim, family.Settings(**dict(widths)))
    return _counted(decoder, (code_dim, *latent))[0]


def _counted(module: nn.Module, shape: tuple[int, ...]) -> tuple[float, Tensor]:
    """Multiply-adds of an item of this shape, and what comes out of the module.

    Counted while a batch without items goes through, or one item where that is refused.
    """
    macs = 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal macs
        each = inputs[0] if isinstance(layer, nn.ConvTranspose2d) else output
        macs += each.shape[2:].numel() * layer.get_parameter("weight").numel()

    for layer in module.eval().modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            layer.register_forward_hook(count)
    with torch.no_grad():
        try:
            output = module(torch.zeros(0, *shape))
        except RuntimeError:  # a network may reshape by -1, which has no meaning without items
            macs = 0
            output = module(torch.zeros(1, *shape))
    return float(macs), output


class Undrawn(TorchFunctionMode):
    """While it lasts torch draws no numbers: what is built has its shapes alone, and at once."""

    init = (nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_)  # where they say so first
    draws = frozenset((Tensor.normal_, Tensor.uniform_, *init))
    shaped = {torch.randn: torch.empty, torch.rand: torch.empty}  # noqa: RUF012

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Leaves a tensor that is to be drawn as it is."""
        if function in self.draws:
            return args[0] if args else kwargs["tensor"]
        return self.shaped.get(function, function)(*args, **(kwargs or {}))


def image_count(job: Job) -> int:
    """Images of the train split that costs are reckoned with; 5 000 where nobody knows yet."""
    return dataset(job).train_count(job.group("data")) or 5_000


def image_side(job: Job) -> Size:
    """Height and width of the job's images in pixels; of other items their shape."""
    return dataset(job).size(job.group("data"))


def dataset(job: Job) -> Dataset:
    """The job's dataset."""
    return registry.dataset(job.files.get("dataset", job.dataset))
