"""Level 0: closed forms, and every method's forward, backward and update on fixed tensors.

Everything runs in float64, so that 1e-5 is far above rounding on any processor and far below any
change of a formula.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from collapsebench import fidelity, metrics, ops, schedules
from collapsebench.check import records
from collapsebench.check.records import Record, Records, compare
from collapsebench.check.verdicts import MISSING, OK, WORSE, Finding
from collapsebench.datasets import IMAGES
from collapsebench.plan import registry
from collapsebench.quantizer import Quantizer
from collapsebench.results import disk
from collapsebench.settings import PAPER_STEPS

FILE = "level0.npz"
RTOL = 1e-5
BATCH, SIDE = 2, 3  # of the fixed encoder output
MOST = 4096  # numbers of an array that are kept one by one


def run(stored: Path | None) -> list[Finding]:
    """Closed forms first, then what is recorded in ``stored``."""
    if stored is None:
        return [*closed_forms(), Finding(0, FILE, MISSING, "no such file among the baselines")]
    return [*closed_forms(), *compare(0, read(stored), computed(), RTOL)]


def closed_forms() -> list[Finding]:
    """One finding per formula that has a value known by hand."""
    found = []
    pairs = divergences() | counted() | as_bytes() | scheduled() | neighbours() | far()
    for name, (value, expected) in pairs.items():
        same = math.isclose(value, expected, rel_tol=RTOL, abs_tol=RTOL**2)
        text = f"{value:.8g}, by hand {expected:.8g}"
        found.append(Finding(0, name, OK if same else WORSE, text))
    return found


Pairs = dict[str, tuple[float, float]]  # name -> (computed, by hand)


def divergences() -> Pairs:
    """KL divergences from the uniform distributions."""
    odds = torch.tensor([1.0, 1.0, 2.0], dtype=torch.float64).log()
    two = torch.tensor([2.0, 1.0], dtype=torch.float64)  # its density on [0, 1] is 2x
    beta = math.log(2) - 0.5
    return {
        "categorical KL of odds 1:1:2": (
            float(ops.categorical_kl(odds)),
            math.log(3) - 1.5 * math.log(2),
        ),
        "Dirichlet KL of (2, 1)": (float(ops.dirichlet_kl(two)), beta),
        "stable Dirichlet KL of (2, 1)": (float(ops.stable_dirichlet_kl(two - 1)), beta),
    }


def counted() -> Pairs:
    """Perplexity, usage and collapse of counts, what uniform use would give, and decibels."""
    tokens = np.array([[0, 0], [1, 2]])  # batches of one row: perplexities 1 and 2
    once, one = np.array([1, 2, 0, 5]), np.array([9, 0, 0, 0])
    ruled = np.array([10**6] + [1] * 19)  # all codes used, one of them nearly always
    return {
        "perplexity of counts 1:1:2": (metrics.perplexity(np.array([1, 1, 2])), 2**1.5),
        "perplexity of batches": (metrics.perplexity_batch_mean(tokens, 3, batch_size=1), 1.5),
        "usage of one of four": (metrics.usage(one), 0.25),
        "usage with a code chosen once": (metrics.usage(once), 0.75),
        "dead codes beside a code chosen once": (metrics.dead_codes(once), 1.0),
        "collapse by usage": (metrics.collapsed(one), 1.0),
        "collapse by perplexity": (metrics.collapsed(ruled), 1.0),
        "collapse of even use": (metrics.collapsed(np.array([1, 1, 1, 1])), 0.0),
        "uniform perplexity of 2 tokens, 2 codes": (metrics.perplexity_ceiling(2, 2), 2**0.5),
        "uniform usage of 2 tokens, 2 codes": (metrics.usage_ceiling(2, 2), 0.75),
        "decibels of an error of 0.01": (metrics.psnr(0.01), 20.0),
    }


def as_bytes() -> Pairs:
    """Pixels to bytes, rounded and clamped, red first; and back."""
    red = torch.tensor([-1.0, 0.6 / 255, 2.0], dtype=torch.float64)
    x = torch.stack([red, 0 * red, 0 * red]).reshape(1, 3, 1, 3)
    rounded = IMAGES.stored(x)
    low, small, high = rounded[0, 0, :, 0].tolist()
    back = IMAGES.batch(torch.from_numpy(rounded))
    return {
        "a pixel of -1 as a byte": (low, 0.0),
        "a pixel of 0.6 / 255 as a byte": (small, 1.0),
        "a pixel of 2 as a byte": (high, 255.0),
        "byte 255 as a pixel": (float(back[0, 0, 0, 2]), 1.0),
    }


def scheduled() -> Pairs:
    """Schedules half way, and the temperature at the paper's last step."""
    t = torch.tensor(500.0, dtype=torch.float64)
    last = torch.tensor(float(PAPER_STEPS), dtype=torch.float64)
    return {
        "quarter cosine half way": (
            float(schedules.quarter_cosine(t, 0.0, 1.0, 1000)),
            1 - math.sqrt(0.5),
        ),
        "half cosine half way": (float(schedules.half_cosine(t, 0.0, 1.0, 1000)), 0.5),
        "last temperature": (float(schedules.exponential(last)), math.exp(-1.5)),
    }


def neighbours() -> Pairs:
    """Precision and its kin of five points on a line a side; the radii are written beside them."""
    real = np.array([[0.0], [1.0], [3.0], [6.0], [10.0]])  # 1, 1, 2, 3, 4 at k = 1
    fake = np.array([[0.4], [2.5], [20.0], [21.0], [30.0]])  # 2.1, 2.1, 1, 1, 9
    expected = {"precision": 0.4, "recall": 0.6, "density": 0.6, "coverage": 0.6}
    found = fidelity.precision_recall(real, fake, k=1)
    return {f"{name} on a line": (found[name], value) for name, value in expected.items()}


def far() -> Pairs:
    """Distances between a set of features, the same moved by 3, and the same doubled."""
    x = wave(60, 2)
    moved = fidelity.frechet_distance(x, x + np.array([3.0, 0.0]))
    doubled = fidelity.frechet_distance(x, 2 * x)
    by_hand = float(x.mean(0) @ x.mean(0) + np.trace(np.cov(x.T)))
    itself = fidelity.precision_recall(x, x, k=3)
    return {
        "Fréchet distance of features moved by 3": (moved, 9.0),
        "Fréchet distance of features doubled": (doubled, by_hand),
        "precision of a set against itself": (itself["precision"], 1.0),
        "coverage of a set against itself": (itself["coverage"], 1.0),
        "recall of features far away": (fidelity.precision_recall(x, x + 99, k=3)["recall"], 0.0),
    }


def wave(*shape: int) -> np.ndarray:
    """Fixed numbers that look like noise, float64, without any generator."""
    n = np.arange(math.prod(shape), dtype=np.float64)
    return (2 * np.sin(1.7 * n * n + 0.3 * n)).reshape(shape)


def computed() -> dict[str, Record]:
    """What ``stored`` records: every shipped method, and the features that distances rest on."""
    found: dict[str, Record] = {}
    for name in registry.names("methods"):
        if registry.find("methods", name).shipped:
            method = registry.method_class(name)
            found |= {name: quantized(method), f"{name} in evaluation": evaluated(method)}
    images = (wave(8, 32, 32, 3) * 60 + 128).round().astype(np.uint8)
    extractor = fidelity.load_extractor("cb-randconv-v1")
    features = fidelity.features(images, extractor, device=torch.device("cpu"))
    values = {"features": np.asarray(features, np.float64).mean(0)}
    score = Record(records.of_stages(["score"]), values, records.stage_number("score"))
    return found | {"fidelity": score}


def quantized(method: type[Quantizer]) -> Record:
    """A method's outputs, gradients and state after one update, at its ``tiny()`` size."""
    quantizer, z_e = fixed(method)
    z_e.requires_grad_()
    torch.manual_seed(0)
    quantizer.anneal(torch.tensor(PAPER_STEPS / 2, dtype=torch.float64))
    output = quantizer(z_e)
    (output.z_q.square().sum() + output.loss).backward()
    values = {"z_q": output.z_q, "tokens": output.tokens, "loss": output.loss, "dz_e": z_e.grad}
    values |= {f"d {name}": p.grad for name, p in quantizer.named_parameters()}
    values |= {f"term {name}": term for name, term in output.terms.items()}
    quantizer.update(z_e.detach(), output.tokens)
    values |= {f"updated {name}": buffer for name, buffer in quantizer.named_buffers()}
    return record(method, values)


@torch.no_grad()
def evaluated(method: type[Quantizer]) -> Record:
    """What evaluation sees of a method after one update: outputs, posterior, codes, embeddings."""
    quantizer, z_e = fixed(method)
    torch.manual_seed(0)
    quantizer.update(z_e, quantizer(z_e).tokens)
    output = quantizer.eval()(z_e)
    values = {"z_q": output.z_q, "tokens": output.tokens, "posterior": quantizer.posterior(z_e)}
    values |= {"codes": quantizer.codes()}
    if quantizer.codebooks:
        values["embedded"] = quantizer.embed(output.tokens)
    return record(method, values)


def fixed(method: type[Quantizer]) -> tuple[Quantizer, Tensor]:
    """A method at its ``tiny()`` size in float64, its matrices fixed, and an encoder output."""
    quantizer = method(*method.tiny(), method.Settings()).double()
    for i, parameter in enumerate([*quantizer.parameters(), *quantizer.buffers()]):
        if parameter.ndim > 1:  # codebooks and their sums; counters and scalars stay
            parameter.data.copy_(torch.from_numpy(wave(i + 1, *parameter.shape)[i]))
    return quantizer, torch.from_numpy(wave(BATCH, quantizer.encoder_channels, SIDE, SIDE))


def record(method: type[Quantizer], values: Mapping[str, Tensor | None]) -> Record:
    """The tensors that there are, as arrays."""
    arrays = {
        name: folded(value.detach().double().numpy())
        for name, value in values.items()
        if value is not None
    }
    name = method.__module__.rpartition(".")[2]
    bump = f"the implementation of {name} in methods/{name}.py"
    return Record(f"method {method.implementation}", arrays, bump)


def folded(array: np.ndarray) -> np.ndarray:
    """The array, or of one too large to be kept the sums of every ``MOST``-th element."""
    if array.size <= MOST:
        return array
    return np.bincount(np.arange(array.size) % MOST, weights=array.ravel())


def read(path: Path) -> dict[str, Record]:
    """The records of a file that ``write`` wrote."""
    values: dict[str, dict[str, np.ndarray]] = {}
    with np.load(path, allow_pickle=False) as arrays:
        for name in arrays.files:
            subject, _, key = name.partition("|")
            values.setdefault(subject, {})[key] = arrays[name]
    return {
        subject: Record(str(found.pop("implementation")), found)
        for subject, found in values.items()
    }


def write(path: Path, records: Records) -> None:
    """All records in one compressed file, atomically."""
    arrays = {
        f"{subject}|{key}": value
        for subject, record in records.items()
        for key, value in [*record.values.items(), ("implementation", record.implementation)]
    }

    def save(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

    disk.replace_atomically(path, save, read)
