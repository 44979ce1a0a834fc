"""What a module returned, told apart by type and shape: vectors, tokens and losses.

A quantizer written for another project returns a tuple, a dictionary, a named tuple or a dataclass,
in an order of its own. Its vectors are floats of the input's shape, its tokens integers with one
or several of them per position, its losses what is left and carries a gradient.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from collapsebench.settings import UserError

Path = tuple[str, ...]  # where a tensor stood in what was returned: ("2", "indices")
Leaves = dict[Path, Tensor]

VECTOR_WORDS = ("quant", "z_q", "zq")
TOKEN_WORDS = ("ind", "token", "code", "id")
LOSS_WORDS = ("loss", "commit")
TOTAL_WORDS = ("loss", "total_loss", "vq_loss", "quant_loss", "quantization_loss", "aux_loss")
MOST_CODEBOOKS = 64


class NotFound(UserError):
    """Vectors or tokens are not among what a module returned."""


def leaves(value: Any, path: Path = ()) -> Leaves:
    """Every tensor inside tuples, lists, mappings, dataclasses and plain objects, by its place."""
    if isinstance(value, Tensor):
        return {path: value}
    found: Leaves = {}
    for key, inner in _members(value):
        found |= leaves(inner, (*path, key))
    return found


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield from ((str(key), inner) for key, inner in value.items())
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        yield from zip(value._fields, value, strict=True)
    elif isinstance(value, tuple | list):
        yield from ((str(i), inner) for i, inner in enumerate(value))
    elif dataclasses.is_dataclass(value):
        yield from ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value))
    elif hasattr(value, "__dict__") and not isinstance(value, type | torch.nn.Module):
        yield from vars(value).items()


@dataclass(frozen=True)
class TokenForm:
    """How tokens were laid out: where the axes of the codebooks stand among those of the positions.

    Attributes:
        places: of the codebooks' axes, like (0,) in (Q, B, N), (1,) in (B, Q, N).
        lengths: theirs, like (Q,).
        flat: all positions in one axis, like (B N,).
    """

    places: tuple[int, ...]
    lengths: tuple[int, ...]
    flat: bool

    @property
    def codebooks(self) -> int:
        """Q, tokens per position."""
        return math.prod(self.lengths)

    def normal(self, tokens: Tensor, grid: tuple[int, int, int]) -> Tensor:
        """As they were returned -> (B, H, W) int64, or (B, H, W, Q)."""
        each = tokens.movedim(self.places, self._last).reshape(*grid, self.codebooks).long()
        return each.squeeze(-1) if self.codebooks == 1 else each

    def native(self, tokens: Tensor, positions: tuple[int, ...]) -> Tensor:
        """(B, H, W) or (B, H, W, Q) -> the layout in which they were returned."""
        axes = (math.prod(positions),) if self.flat else positions
        return tokens.reshape(*axes, *self.lengths).movedim(self._last, self.places)

    @property
    def _last(self) -> tuple[int, ...]:
        return tuple(range(-len(self.lengths), 0))


@dataclass(frozen=True)
class Roles:
    """Which of the tensors are what.

    Attributes:
        tokens: one place, or one per codebook where each has a tensor of its own.
        rounded: the tokens came as floats of whole value.
        one_hot: they came as rows with a single 1.
        per_sample: the loss has an entry per sample; its mean is taken.
    """

    vectors: Path
    tokens: tuple[Path, ...]
    form: TokenForm
    losses: tuple[Path, ...]
    rounded: bool = False
    one_hot: bool = False
    per_sample: bool = False

    def tokens_of(self, found: Leaves) -> Tensor:
        """The tokens as they were returned; those of several tensors along a new last axis."""
        if self.one_hot:
            return found[self.tokens[0]].argmax(-1)
        if len(self.tokens) == 1:
            return found[self.tokens[0]]
        return torch.stack([found[path] for path in self.tokens], -1)

    def loss_of(self, found: Leaves, like: Tensor) -> Tensor:
        """0-d: the sum of the losses; an entry per sample counts by its mean."""
        present = [found[path].float() for path in self.losses if path in found]
        totals = [loss.mean() if self.per_sample else loss.sum() for loss in present]
        return torch.stack(totals).sum() if totals else like.new_zeros(())


def roles(found: Leaves, z: Tensor, positions: tuple[int, ...], named: Mapping[str, str]) -> Roles:
    """Tells the tensors apart.

    Args:
        found: what a module in training mode returned for ``z``, which asks for a gradient.
        z: its input.
        positions: the axes of its positions, like (B, N).
        named: what ``--outputs`` says, role -> place.

    Raises:
        NotFound: no vectors or no tokens, with what there was and the option that names them.
    """
    vectors = _vectors(found, z, named)
    others = {p: t for p, t in found.items() if p != vectors}
    tokens, form, kind = _tokens(others, positions, named)
    rest = {p: t for p, t in found.items() if p != vectors and p not in tokens}
    losses = _losses(rest, len(z), named)
    per_sample = any(found[p].ndim and len(found[p]) == len(z) for p in losses)
    return Roles(vectors, tokens, form, losses, kind == "rounded", kind == "one hot", per_sample)


def _vectors(found: Leaves, z: Tensor, named: Mapping[str, str]) -> Path:
    if "vectors" in named:
        return _placed(found, "vectors", named)
    same = [p for p, t in found.items() if t.is_floating_point() and t.shape == z.shape]
    if not same:
        raise NotFound(
            _missing("vectors", f"no float tensor has the input's shape, {_shape(z)}", found)
        )
    changed = [p for p in same if not torch.equal(found[p].detach(), z.detach())]
    return (_worded(same, VECTOR_WORDS) or changed or same)[0]


def _tokens(
    found: Leaves, positions: tuple[int, ...], named: Mapping[str, str]
) -> tuple[tuple[Path, ...], TokenForm, str]:
    if "tokens" in named:
        place = _placed(found, "tokens", named)
        form = _form(found[place].shape, positions)
        if form is None:
            raise NotFound(
                f"tokens={named['tokens']}: {_shape(found[place])} has no axes {positions}"
            )
        return (place,), form, "rounded" if found[place].is_floating_point() else "whole"
    for kind, fits in (("whole", _is_whole), ("rounded", _is_rounded), ("one hot", _is_one_hot)):
        shapes = {
            p: t.shape[:-1] if kind == "one hot" else t.shape for p, t in found.items() if fits(t)
        }
        fitting = {p: form for p, shape in shapes.items() if (form := _form(shape, positions))}
        if fitting:
            return *_chosen(fitting), kind
    detail = f"no integer tensor has one or more entries for each of the positions {positions}"
    raise NotFound(_missing("tokens", detail, found))


def _chosen(fitting: Mapping[Path, TokenForm]) -> tuple[tuple[Path, ...], TokenForm]:
    """One of several candidates, or all of a list that has one for each codebook."""
    candidates = _worded(list(fitting), TOKEN_WORDS) or list(fitting)
    first = min(candidates, key=lambda path: fitting[path].codebooks)
    form = fitting[first]
    listed = [p for p in fitting if len(p) > 1 and p[:-1] == first[:-1] and p[-1].isdigit()]
    if len(listed) > 1 and first in listed and all(fitting[p].codebooks == 1 for p in listed):
        return tuple(listed), TokenForm((*form.places, -1), (*form.lengths, len(listed)), form.flat)
    return (first,), form


def _is_whole(tensor: Tensor) -> bool:
    return not (tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool)


def _is_rounded(tensor: Tensor) -> bool:
    whole = tensor.is_floating_point() and bool((tensor == tensor.round()).all())
    return whole and not tensor.requires_grad and int(tensor.max()) > 1  # one-hot rows are not


def _is_one_hot(tensor: Tensor) -> bool:
    if not tensor.is_floating_point() or tensor.ndim < 2:
        return False
    return bool(((tensor == 0) | (tensor == 1)).all()) and bool((tensor.sum(-1) == 1).all())


def _form(shape: Sequence[int], positions: tuple[int, ...]) -> TokenForm | None:
    for axes, flat in ((positions, False), ((math.prod(positions),), True)):
        standing = itertools.combinations(range(len(shape)), len(axes))
        for places in sorted(standing, key=lambda p: p[-1] - p[0]):  # side by side is likeliest
            if tuple(shape[i] for i in places) == axes:
                others = tuple(i for i in range(len(shape)) if i not in places)
                form = TokenForm(others, tuple(shape[i] for i in others), flat)
                if form.codebooks <= MOST_CODEBOOKS:
                    return form
    return None


def _losses(rest: Leaves, batch: int, named: Mapping[str, str]) -> tuple[Path, ...]:
    if "loss" in named:
        return (_placed(rest, "loss", named),)
    floats = {p: t for p, t in rest.items() if t.is_floating_point()}
    small = {p: t for p, t in floats.items() if t.numel() <= MOST_CODEBOOKS or len(t) == batch}
    graded = [p for p, t in small.items() if t.requires_grad]
    single = [p for p, t in small.items() if t.numel() == 1]
    found = graded or _worded(list(small), LOSS_WORDS) or (single if len(single) == 1 else [])
    found = [p for p in found if p in single] or found  # statistics are vectors, losses seldom
    totals = [p for p in found if p and p[-1].lower() in TOTAL_WORDS]
    if len(totals) == 1:
        return tuple(totals)
    for path in found if len(found) > 2 else []:
        others = sum(float(small[p].detach().sum()) for p in found if p != path)
        if math.isclose(float(small[path].detach().sum()), others, rel_tol=1e-5):
            return (path,)
    return tuple(found)


def _worded(paths: Sequence[Path], words: Sequence[str]) -> list[Path]:
    return [p for p in paths if p and any(word in p[-1].lower() for word in words)]


def _placed(found: Leaves, role: str, named: Mapping[str, str]) -> Path:
    path = tuple(named[role].split("."))
    if path not in found:
        raise UserError(f"--outputs {role}={named[role]}: not among {described(found)}")
    return path


def _missing(role: str, detail: str, found: Leaves) -> str:
    return (
        f"{role} not found: {detail}; returned were {described(found)}; "
        f"--outputs {role}=PLACE names them"
    )


def described(found: Leaves) -> str:
    """Every tensor on one line: ``0 float32 (4, 16, 8), 1 int64 (4, 16)``."""
    return (
        ", ".join(
            f"{'.'.join(path) or 'the tensor'} {str(t.dtype).removeprefix('torch.')} {_shape(t)}"
            for path, t in found.items()
        )
        or "no tensor"
    )


def _shape(tensor: Tensor) -> str:
    return str(tuple(tensor.shape))
