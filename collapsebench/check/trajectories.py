"""Level 1: thirty steps of every shipped method with the real trainer, in float64.

Tiny networks on digits of 8 x 8 pixels, a fixed seed, eager, one thread: what remains between two
machines is rounding, far below 1e-6. A change of any of these numbers is a change of the method,
its network or the trainer, and must be declared by a bumped ``implementation``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from collapsebench import metrics, prior
from collapsebench.check import records
from collapsebench.check.records import Record, Records, compare
from collapsebench.check.verdicts import MISSING, WORSE, Finding
from collapsebench.datasets import data_root
from collapsebench.job import encode, train
from collapsebench.job.model import DiscreteVAE, build
from collapsebench.plan import registry
from collapsebench.quantizer import Incompatible, Quantizer
from collapsebench.results import disk
from collapsebench.settings import STAGES, Data, Prior, Train

FILE = "trajectories.json"
RTOL = 1e-6
SEED = 42
CODEBOOK = (16, 4)
WIDTH = 8  # of every network
STEPS = 30
TRAIN = Train(steps=STEPS, horizon=STEPS, batch_size=32, learning_rate=3e-3, points=STEPS)
LOGGED = ("loss", "mse", "perplexity")

# Whose weights are drawn in float32 and then widened, as when they were first recorded: machines
# draw them 1e-7 apart, which none of these magnifies. All others are drawn in float64.
WIDENED = frozenset(
    ("vq_vae_ema", "gs_vq_vae", "sq_vae", "vq_ste_pp", "dvae", "edvae", "vq_vae", "random_codes",
     "continuous")
)  # fmt: skip
# Steps of a method that stops earlier: each step of CVQ-VAE pulls its unused codes a thousandfold
# closer to one vector, and after the third the last bit decides between them.
SHORTER = {"cvq_vae": 2}
CPU = torch.device("cpu")


class DoubleVAE(DiscreteVAE):
    """The model that the trainer sees: images become float64 at its door."""

    @classmethod
    def of(cls, model: DiscreteVAE) -> DoubleVAE:
        """The same model in float64."""
        return cls(model.encoder, model.quantizer, model.decoder).double()

    def encode(self, x: Tensor) -> Tensor:
        """x (B, 3, H, W) -> z_e float64."""
        return self.encoder(x.double())


def run(stored: Path | None) -> list[Finding]:
    """One finding per method and one for the prior."""
    if stored is None:
        return [Finding(1, FILE, MISSING, "no such file among the baselines")]
    before, now = read(stored), computed()
    return [*compare(1, before, now, RTOL), *common_cause(before, now)]


def common_cause(before: Records, now: Records) -> list[Finding]:
    """One more finding where all methods, or all of a network, changed: that is the place."""
    changed = {f.subject for f in compare(1, before, now, RTOL) if f.verdict == WORSE}
    methods = {name: registry.method_class(name).network for name in shipped()}
    if set(methods) <= changed:
        text = f"every method changed: look at the trainer; bump {records.stage_number('train')}"
        return [Finding(1, "trainer", WORSE, text)]
    return [
        Finding(1, network, WORSE, "every method on this network changed: bump its implementation")
        for network in sorted(set(methods.values()))
        if {name for name, own in methods.items() if own == network} <= changed
    ]


def shipped() -> list[str]:
    """Names of the methods that this package ships."""
    return [n for n in registry.names("methods") if registry.find("methods", n).shipped]


def computed() -> dict[str, Record]:
    """The trajectories of this code."""
    digits = images()
    with one_thread():
        return {name: trajectory(name, digits) for name in shipped()} | {"prior": prior_fit()}


def images() -> np.ndarray:
    """(512, 8, 8, 3) uint8: digits at a quarter of their side."""
    return registry.dataset("digits").load(Data(), data_root(None)).train[:512, 2::4, 2::4]


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums in the same order on every machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def double() -> Iterator[None]:
    """New tensors are float64 unless they ask for something else."""
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(default)


def trajectory(name: str, images: np.ndarray) -> Record:
    """Loss, error and perplexity at each step, and what the trained model then encodes."""
    model = fresh(name, images.shape[1])
    probe = encode.Probe(images[:128], CPU)
    settings = replace(TRAIN, steps=SHORTER.get(name, STEPS))
    curve = train.fit(model, images, settings, seed=SEED, device=CPU, probe=probe).curve
    values = {
        metric: np.array([value for _, logged, value in curve if logged == metric])
        for metric in LOGGED
    }
    encoded, quantizer = encode.encode(model, images[:128], device=CPU), model.quantizer
    by_codebook = encoded.tokens.reshape(-1, max(quantizer.codebooks, 1)).T
    counts = [metrics.counts(tokens, quantizer.codebook_size) for tokens in by_codebook]
    values["encoded"] = np.array([encoded.values["mse"], *map(metrics.perplexity, counts)])
    family = registry.network_module(quantizer.network)
    return Record(
        f"method {quantizer.implementation}, network {family.implementation}, "
        f"{records.of_stages(STAGES[:2])}",
        values,
        f"the implementation of {name} in methods/{name}.py",
    )


def fresh(name: str, image_size: int) -> DoubleVAE:
    """A method's model before its first step."""
    method = registry.method_class(name)
    family = registry.network_module(method.network)
    size, dim = sizes(method)
    with nullcontext() if name in WIDENED else double():
        built = build(
            method,
            family,
            image_size=image_size,
            codebook_size=size,
            code_dim=dim,
            method_settings=method.Settings(),
            network_settings=family.Settings(width=WIDTH),
            seed=SEED,
        )
    return DoubleVAE.of(built)


def sizes(method: type[Quantizer]) -> tuple[int, int]:
    """Codebook size and code dimension: ``CODEBOOK``, or what a method with tied sizes can have."""
    try:
        method(*CODEBOOK, method.Settings())
    except Incompatible:
        return method.tiny()
    return CODEBOOK


def prior_fit() -> Record:
    """The likelihoods of a tiny PixelSNAIL along three epochs, on a fixed pattern of tokens."""
    size, settings = 5, Prior(epochs=3, batch_size=8, channels=16, blocks=1, layers=1)
    n, row, column = np.indices((32, 4, 4))
    tokens = (n * row + column) % size
    with double():
        fitted = prior.fit(tokens, settings, codebook_size=size, seed=SEED, device=CPU)
    losses = [values["prior_loss"] for _, values in fitted.curve]
    values = {"loss": np.array(losses), "nll": np.array([fitted.nll_train, fitted.nll_held_out])}
    return Record(records.of_stages(["prior"]), values, records.stage_number("prior"))


def read(path: Path) -> dict[str, Record]:
    """The records of a file that ``write`` wrote."""
    found = json.loads(path.read_text(encoding="utf-8"))
    return {
        name: Record(entry.pop("implementation"), {k: np.array(v) for k, v in entry.items()})
        for name, entry in found.items()
    }


def write(path: Path, found: Records) -> None:
    """All records as JSON, atomically; numbers in full precision."""
    disk.write_json(
        path,
        {
            name: {"implementation": record.implementation}
            | {key: value.tolist() for key, value in record.values.items()}
            for name, record in found.items()
        },
    )
