"""The stages of a job and their settings, torch-free: plain frozen dataclasses.

A field with ``id=False`` in its metadata does not decide the result (a path, a batch size of an
exact computation) and stays out of every id. A field added after the first release declares
``legacy=VALUE``: at that value it stays out of the hash, so that a new option orphans no row.
"""

from __future__ import annotations

import dataclasses
import difflib
import errno
import functools
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from annotated_types import Ge, Gt, Le

if TYPE_CHECKING:
    from rich.console import Console

# The paper's methods, in the order of its tables.
PAPER_METHODS = ("vq_vae_ema", "gs_vq_vae", "sq_vae", "vq_ste_pp", "dvae", "edvae")
FLOORS = ("random_codes", "kmeans", "continuous")  # what a method must beat; never ranked
LONGEST_NAME = 100  # bytes of a name that becomes part of a file's
LONGEST_QUOTED = 300  # characters of a path or place in an error line
PAPER_STEPS = 150_000  # the paper's training length, appendix C; schedules are written in it

MOST = 10**9  # steps, epochs, images: nothing that is counted here needs more
Positive = Annotated[int, Gt(0), Le(MOST)]
Count = Annotated[int, Ge(0), Le(2**32 - 1)]  # seeds, too
Side = Annotated[int, Ge(0), Le(4096)]
PositiveFloat = Annotated[float, Gt(0)]
NonNegative = Annotated[float, Ge(0)]
Share = Annotated[float, Ge(0), Le(1)]


class UserError(Exception):
    """Bad input: one clear line for the user, exit code 2, no traceback."""


def system_reason(error: OSError) -> str:
    """What the system refused, as one line: "results/runs: permission denied"."""
    if error.errno == errno.ENOSPC and error.filename is not None:
        return f"no space left in {Path(str(error.filename)).parent}"
    said = (error.strerror or str(error) or type(error).__name__).partition("\n")[0]
    paths = [str(path) for path in (error.filename, error.filename2) if path is not None]
    names = [shortened(path, LONGEST_QUOTED) for path in paths]
    return f"{' -> '.join(names)}: {said.lower()}" if names else said.lower()


def regular(path: Path) -> Path:
    """The path of a file that may be opened: a pipe keeps its reader waiting, a device has no end.

    Raises:
        OSError: a pipe, a device or a socket; of a folder, or of nothing, opening it says more.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OSError(errno.EINVAL, "no regular file", str(path))
    return path


def place() -> Any:
    """A field that says where something is or how it is computed, never what: in no id."""
    return field(default="", metadata={"id": False})


@dataclass(frozen=True)
class Data:
    """What is read, ``data.*``."""

    path: str = place()  # `folder`: the folder with the images; `vectors`: the file
    array: str = place()  # `vectors`: which array or column of the file; "" = the only one
    image_size: Side = 0  # `folder`: side in pixels, 0 = 32; fixed for every other dataset
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
    extractor: Literal["inception-v3-compat", "cb-randconv-v1"] = "inception-v3-compat"
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


Cost = Callable[[Any, Any], float]  # of a job's ``plan.costs.Load`` and the stage's own settings


SPLITS = ("train", "val", "test")


def tokens_file(split: str) -> str:
    """The file of a job with the tokens of a split."""
    return f"tokens-{split}.npy"


# What stages leave in a job's folder.
MODEL, ENTROPY_MAPS = "model.safetensors", "entropy_maps.npy"  # maps: of one image, along training
CODEBOOK = "codebook.npy"
RECONSTRUCTIONS, RECONSTRUCTED = "reconstructions.png", "reconstructed.npy"  # images; other items
TOKENS = tuple(tokens_file(split) for split in SPLITS)
PRIOR = "prior.safetensors"
SAMPLES, SAMPLE_TOKENS, SAMPLE_GRID = "samples.npy", "sample_tokens.npy", "samples.png"
NEIGHBOURS = "neighbours.png"


@dataclass(frozen=True)
class Stage:
    """What there is to know of a stage beside its function, ``<name>_stage`` in ``job.stages``.

    Attributes:
        settings: its group, which bears its name.
        implementation: part of its id; bumped by hand when its numbers change, and
            ``check --level 1`` says when that is due.
        parent: the stage it follows: its id hashes the parent's.
        reads: what it reads of the files that stages before it left.
        files: what it leaves in the job's folder, by the kinds that ``gc --keep`` knows.
        macs: multiply-adds that it takes.
        size: bytes that it leaves on disk.
    """

    name: str
    settings: type
    implementation: int
    parent: str
    reads: dict[str, tuple[str, ...]]
    files: dict[str, tuple[str, ...]]
    macs: Cost
    size: Cost


PASSES = 3  # of a training step, forward and backward, in forward passes
PIPELINE = {
    stage.name: stage
    for stage in (
        Stage(
            "train", Train, implementation=2, parent="", reads={},
            files={"model": (MODEL,), "images": (ENTROPY_MAPS,)},
            macs=lambda load, own: PASSES * load.image_macs * own.steps * own.batch_size,
            size=lambda load, own: 12e6,
        ),
        Stage(
            "encode", Encode, implementation=1, parent="train", reads={"train": (MODEL,)},
            files={"codebook": (CODEBOOK,), "tokens": TOKENS,
                   "images": (RECONSTRUCTIONS, RECONSTRUCTED)},
            macs=lambda load, own: load.image_macs * load.images,
            size=lambda load, own: load.token_bytes * load.images * 1.2,  # three splits
        ),
        Stage(
            "prior", Prior, implementation=2, parent="encode",
            reads={"train": (MODEL,), "encode": TOKENS},
            files={"prior": (PRIOR,)},
            macs=lambda load, own: PASSES * load.prior_macs * load.images * own.epochs,
            size=lambda load, own: load.prior_bytes,
        ),
        Stage(
            "sample", Sample, implementation=1, parent="prior",
            reads={"train": (MODEL,), "encode": (tokens_file("train"),), "prior": (PRIOR,)},
            files={"samples": (SAMPLES, SAMPLE_TOKENS), "images": (SAMPLE_GRID,)},
            macs=lambda load, own: 2 * load.prior_macs * own.count,
            size=lambda load, own: (load.image_bytes + load.token_bytes) * own.count,
        ),
        Stage(
            "score", Score, implementation=1, parent="sample",
            reads={"train": (MODEL,), "encode": (tokens_file("train"),), "sample": (SAMPLES,)},
            files={"images": (NEIGHBOURS,)},
            macs=lambda load, own: load.feature_macs * (load.images + load.samples),
            size=lambda load, own: 0.0,
        ),
    )
}  # fmt: skip
STAGES = tuple(PIPELINE)
GROUPS: dict[str, type] = {"data": Data} | {s.name: s.settings for s in PIPELINE.values()}
FILES = {  # kind, as ``gc --keep`` names it -> names of the files that stages leave
    kind: tuple(name for stage in PIPELINE.values() for name in stage.files.get(kind, ()))
    for kind in dict.fromkeys(kind for stage in PIPELINE.values() for kind in stage.files)
}

CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)

PLAIN = (bool, int, float, str, list, tuple, dict, Path, type(None))  # kinds of settings' values

T = TypeVar("T")


def ancestors(stage: str) -> tuple[str, ...]:
    """The stages before a stage, first to last."""
    parent = PIPELINE[stage].parent
    return (*ancestors(parent), parent) if parent else ()


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of an error line: "; did you mean 'x'?" or the list of what is known."""
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known) or 'none'}"


def shown(value: Any, most: int = 60) -> str:
    """A value as an error line quotes it: on one line, and no longer than ``most`` characters."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, a list in itself
        return f"{type(value).__name__} that is too long to print"
    return shortened(text, most)


def shortened(text: str, most: int) -> str:
    """A text of at most so many characters, the end left out."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def printable(text: str) -> str:
    """A text on one line, what cannot be printed escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def file_name_flaw(name: str) -> str:
    """Why a name cannot be that of a file or folder; "" if it can."""
    if not name or name.startswith((".", "-")) or not name.isprintable() or {"/", "\\"} & {*name}:
        return "must be a name without slashes and unprintable characters"
    return "" if len(name.encode()) <= LONGEST_NAME else f"must have at most {LONGEST_NAME} bytes"


def few(names: Iterable[str], shown: int = 3) -> str:
    """The first of many names in an error line, and how many more there are."""
    ordered = sorted(set(names))
    more = f" and {len(ordered) - shown:,} more" if len(ordered) > shown else ""
    return ", ".join(ordered[:shown]) + more


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
        made: T = _validator(kind).validate_python(dict(values))  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join([where, *(str(part) for part in first["loc"])])
        given = shown(first.get("input"))
        raise UserError(f"bad value for '{name}': {given} ({first['msg'].lower()})") from None
    for name, given in values.items():
        if flaw := _misread(given, getattr(made, name)):
            raise UserError(f"bad value for '{where}.{name}': {shown(given)} ({flaw})")
    return made


def _misread(given: Any, made: Any) -> str:
    """Why a value must not be taken for what it was read as; "" if it may."""
    if isinstance(made, list | tuple) and isinstance(given, list | tuple):
        flaws = (_misread(*pair) for pair in zip(given, made, strict=True))
        return next(filter(None, flaws), "")
    if isinstance(made, float) and not math.isfinite(made):
        return "must be a finite number"
    if isinstance(made, bool) != isinstance(given, bool):
        return (
            "true and false are no numbers" if isinstance(given, bool) else "must be true or false"
        )
    if isinstance(given, str) and isinstance(made, int | float):
        return "a text; a number is written without quotes"
    return "" if isinstance(made, PLAIN) else "must be a number, a text or true or false"


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


def console(stderr: bool = False) -> Console:
    """Where text for a person is printed as it is: nobody's label is taken for markup."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)
