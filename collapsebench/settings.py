"""Settings of every stage but the method and the network, torch-free: plain frozen dataclasses.

A field with ``id=False`` in its metadata does not decide the result (a path, a batch size of an
exact computation) and stays out of every id. A field added after the first release declares
``legacy=VALUE``: at that value it stays out of the hash, so that a new option orphans no row.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeVar

from annotated_types import Ge, Gt, Le

# The paper's methods, in the order of its tables.
PAPER_METHODS = ("vq_vae_ema", "gs_vq_vae", "sq_vae", "vq_ste_pp", "dvae", "edvae")
FLOORS = ("random_codes", "kmeans", "continuous")  # what a method must beat; never ranked
PAPER_STEPS = 150_000  # the paper's training length, appendix C; schedules are written in it

Positive = Annotated[int, Gt(0)]
Count = Annotated[int, Ge(0)]
PositiveFloat = Annotated[float, Gt(0)]
NonNegative = Annotated[float, Ge(0)]
Share = Annotated[float, Ge(0), Le(1)]

STAGES = ("train", "encode", "prior", "sample", "score")


class UserError(Exception):
    """Bad input: one clear line for the user, exit code 2, no traceback."""


def place() -> Any:
    """A field that says where something is or how it is computed, never what: in no id."""
    return field(default="", metadata={"id": False})


@dataclass(frozen=True)
class Data:
    """What is read, ``data.*``."""

    path: str = place()  # `folder`: the folder with the images
    image_size: Count = 0  # `folder`: side in pixels, 0 = 32; fixed for every other dataset
    resize: Literal["squash", "center_crop"] = "squash"  # lsun_church; the paper does not say


@dataclass(frozen=True)
class Train:
    """The shared trainer, ``train.*``; defaults from the paper's appendix C."""

    steps: Positive = PAPER_STEPS
    horizon: Positive = PAPER_STEPS  # the number of steps that stands for the paper's 150 000
    batch_size: Positive = 128
    learning_rate: PositiveFloat = 1e-3
    final_learning_rate: NonNegative = 1.25e-6
    ramp: Positive = 50_000  # in the paper's steps: from learning_rate to final_learning_rate
    anneal: Literal["quarter_cosine", "half_cosine"] = "quarter_cosine"  # official code
    precision: Literal["fp32", "bf16"] = "fp32"  # of the networks; quantizers are always fp32
    points: Annotated[int, Gt(0), Le(500)] = field(
        default=100, metadata={"id": False}
    )  # rows of a training curve


@dataclass(frozen=True)
class Encode:
    """Images to tokens with the trained model, ``encode.*``."""

    assignment: Literal["argmax", "sample"] = "argmax"  # official code; the paper samples


@dataclass(frozen=True)
class Prior:
    """PixelSNAIL, ``prior.*``; defaults: rosinality/vq-vae-2-pytorch ef5f67c but for the epochs."""

    epochs: Positive = 500  # the paper, appendix C
    batch_size: Positive = 32
    learning_rate: PositiveFloat = 3e-4
    schedule: Literal["constant", "cosine"] = "constant"
    channels: Positive = 256
    blocks: Positive = 4
    layers: Positive = 4  # gated residual layers per block
    dropout: Share = 0.1
    center: Literal["strict", "inclusive"] = "strict"  # strict = rosinality's, inclusive = authors'
    held_out: Share = 0.05  # share of the training tokens kept for the curve
    early_stopping: Count = 0  # stop after this many epochs without a better held-out loss; 0 = no
    precision: Literal["fp32", "bf16"] = "fp32"


@dataclass(frozen=True)
class Sample:
    """Tokens drawn from the prior, ``sample.*``."""

    count: Count = 0  # 0 = what the scoring protocol needs
    temperature: PositiveFloat = 1.0
    seed: Count = 0
    batch_size: Positive = field(default=256, metadata={"id": False})


@dataclass(frozen=True)
class Score:
    """Features and distances, ``score.*``."""

    protocol: Literal["full", "quick", "ci", "tiny"] = "full"
    extractor: str = "inception-v3-compat"
    k: Positive = 5  # nearest neighbours of precision, recall, density, coverage
    seed: Count = 0  # which reference images precision and recall see


@dataclass(frozen=True)
class Protocol:
    """How many images a scoring protocol compares; 0 reference images = the whole train split."""

    generated: int
    reference: int
    prdc: int
    rankable: bool = True


PROTOCOLS = {
    "full": Protocol(50_000, 0, 10_000),
    "quick": Protocol(10_000, 0, 10_000),
    "ci": Protocol(2_000, 2_000, 2_000),
    "tiny": Protocol(256, 1_000, 256, rankable=False),
}

GROUPS: dict[str, type] = {
    "data": Data,
    "train": Train,
    "encode": Encode,
    "prior": Prior,
    "sample": Sample,
    "score": Score,
}

CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)

T = TypeVar("T")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of an error line: "; did you mean 'x'?" or the list of what is known."""
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known) or 'none'}"


def build(kind: type[T], values: Mapping[str, Any], where: str) -> T:
    """A settings dataclass from plain values: the one validator, over every Settings class.

    Args:
        kind: a frozen dataclass.
        values: field name -> value; what is absent takes the default.
        where: the prefix a user wrote, "train" or "method", for the message.

    Raises:
        UserError: an unknown name (with a did-you-mean) or a value that its type refuses.
    """
    from pydantic import ValidationError

    names = {f.name for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for name in values:
        if name not in names:
            raise UserError(f"unknown setting '{where}.{name}'{did_you_mean(name, names)}")
    try:
        return _validator(kind).validate_python(dict(values))  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join([where, *(str(part) for part in first["loc"])])
        given = first.get("input")
        raise UserError(f"bad value for '{name}': {given!r} ({first['msg'].lower()})") from None


@functools.cache
def _validator(kind: type) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def plain(settings: Any) -> dict[str, Any]:
    """A settings dataclass as JSON-ready values, all fields; tuples become lists."""
    values = {f.name: getattr(settings, f.name) for f in dataclasses.fields(settings)}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


def identity(settings: Any) -> dict[str, Any]:
    """The fields that decide the result: without ``id=False`` and without untouched legacy ones."""
    values = plain(settings)
    for f in dataclasses.fields(settings):
        missing = object()
        if not f.metadata.get("id", True) or f.metadata.get("legacy", missing) == values[f.name]:
            del values[f.name]
    return values


def digest(value: Any) -> str:
    """16 hex digits of the SHA-256 of canonical JSON (sorted keys, no spaces, no NaN)."""
    return hashlib.sha256(CANONICAL.encode(value).encode()).hexdigest()[:16]
