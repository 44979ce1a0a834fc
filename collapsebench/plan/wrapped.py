"""Any quantizing ``nn.Module`` as a method: what a trainer must know to call it and look it up.

The module keeps its own code and its own losses. What is found by trying it once: the layout in
which it takes vectors, where in its output the vectors, tokens and losses are, and which of its
functions turns tokens back into vectors.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from collapsebench.plan import arguments, lookup, parts
from collapsebench.quantizer import Quantized, Quantizer
from collapsebench.settings import UserError, did_you_mean

LAYOUTS = ("bnd", "bdhw", "bdn", "nd")  # in the order in which they are tried
GRIDS = ((7, 4, 5), (11, 3, 13))  # of a trial; the one whose lengths are not D
MOST_CODES = 2**16  # listed for the curve of a training

TokenGrid = tuple[int, int, int]  # B, H, W


@dataclass(frozen=True)
class VectorLayout:
    """How a module takes vectors: bnd (B, N, D), bdn (B, D, N), bdhw (B, D, H, W), nd (N, D)."""

    name: str

    def native(self, z: Tensor) -> Tensor:
        """(B, D, H, W) -> the module's layout, contiguous: many a module calls ``view``."""
        match self.name:
            case "bdhw":
                native = z
            case "bdn":
                native = z.flatten(2)
            case "bnd":
                native = z.flatten(2).transpose(1, 2)
            case _:
                native = z.permute(0, 2, 3, 1).flatten(0, 2)
        return native.contiguous()

    def usual(self, x: Tensor, grid: TokenGrid) -> Tensor:
        """The module's layout -> (B, D, H, W)."""
        match self.name:
            case "bdhw":
                return x
            case "bdn":
                return x.unflatten(2, grid[1:])
            case "bnd":
                return x.transpose(1, 2).unflatten(2, grid[1:])
            case _:
                return channels_first(x, grid)

    def positions(self, grid: TokenGrid) -> tuple[int, ...]:
        """The axes of the positions: (B, H, W), (B, N) or (N,)."""
        match self.name:
            case "bdhw":
                return grid
            case "nd":
                return (math.prod(grid),)
            case _:
                return (grid[0], grid[1] * grid[2])


def channels_first(x: Tensor, grid: TokenGrid) -> Tensor:
    """Vectors in the order of positions, their numbers on the last axis -> (B, D, H, W)."""
    return x.reshape(*grid, x.shape[-1]).permute(0, 3, 1, 2)


class Wrapped(Quantizer):
    """A module of another project under the contract of a method; a subclass names its class.

    Class attributes:
        module_class: what is built.
        layout, outputs: what was said by hand; else found by trying.
        found: what was found, by sizes, settings and what was said by hand.
    """

    module_class: ClassVar[type[nn.Module]]
    layout: ClassVar[str] = ""
    outputs: ClassVar[Mapping[str, str]] = {}
    found: ClassVar[dict[tuple[Any, ...], tuple[Recognised, lookup.Lookup]]]

    def __init__(
        self, codebook_size: int, code_dim: int, settings: Any, module: nn.Module | None = None
    ):
        """Builds the module, unless one is given, and tries the first of its sizes and settings.

        Raises:
            Incompatible: its constructor refuses these sizes or lacks an argument.
            NotFound: it returns no vectors or no tokens that could be recognised.
        """
        super().__init__(codebook_size, code_dim, settings)
        self.module = module or arguments.build(
            self.module_class, settings, codebook_size, code_dim
        )
        said = self.layout, *self.outputs.items()
        key = (codebook_size, code_dim, repr(settings), *said)
        if key in self.found:
            parts_found, self.lookup = self.found[key]
            self._know(parts_found)
            return
        grid = next(g for g in GRIDS if code_dim not in (*g, g[1] * g[2]))
        with torch.random.fork_rng(devices=[]):
            parts_found = recognised(self.module, code_dim, grid, self.layout, self.outputs)
            self._know(parts_found)
            self.lookup = self._found_lookup(grid)
        self.found[key] = parts_found, self.lookup

    def _know(self, parts_found: Recognised) -> None:
        self.form, self.roles, self.eval_roles = parts_found
        self.codebooks = self.roles.form.codebooks

    def forward(self, z_e: Tensor) -> Quantized:
        """Calls the module in its layout and picks its parts."""
        grid = (z_e.shape[0], z_e.shape[2], z_e.shape[3])
        found = parts.leaves(self.module(self.form.native(z_e)))
        roles = self.roles if self.training else self.eval_roles
        tokens = roles.form.normal(roles.tokens_of(found), grid)
        z_q = self.form.usual(found[roles.vectors], grid).to(z_e.dtype)
        return Quantized(z_q, tokens, roles.loss_of(found, z_e))

    def embed(self, tokens: Tensor) -> Tensor:
        """By the module's own function, else rows of its codebook.

        Raises:
            NotImplementedError: it has neither.
        """
        grid = (tokens.shape[0], tokens.shape[1], tokens.shape[2])
        if not self.lookup.name:
            rows = lookup.row(self.module, self.codebook_size, self.code_dim, tokens)
            return rows.permute(0, 3, 1, 2)
        native = self.roles.form.native(tokens, self.form.positions(grid))
        vectors = lookup.call(self.module, self.lookup.name, native, (*grid, self.code_dim))
        if self.lookup.summed:
            vectors = vectors.sum(0)
        return channels_first(vectors, grid) if self.lookup.last else self.form.usual(vectors, grid)

    def codes(self) -> Tensor | None:
        """The vector (K, D) of each token; None with several codebooks, or too many codes."""
        if self.codebooks != 1 or self.codebook_size > MOST_CODES:
            return None
        tokens = torch.arange(self.codebook_size).view(1, 1, -1)
        with torch.no_grad():
            return self.embed(tokens.to(self._device()))[0, :, 0].t()

    def _device(self) -> torch.device:
        tensors = [*self.parameters(), *self.buffers()]
        return tensors[0].device if tensors else torch.device("cpu")

    def _found_lookup(self, grid: TokenGrid) -> lookup.Lookup:
        tried = copied(self).eval()
        with torch.no_grad():
            z_e = torch.randn(grid[0], self.code_dim, *grid[1:])
            tokens = tried(z_e).tokens
        positions = self.form.positions(grid)
        native, shape = self.roles.form.native(tokens, positions), (*grid, self.code_dim)
        in_layout = self.form.native(z_e).shape
        for name in lookup.candidates(tried.module, self.outputs.get("decoder", "")):
            vectors = lookup.tried(tried.module, name, native, shape)
            if vectors is None:
                continue
            summed = self.codebooks == vectors.shape[0] > 1
            vectors = vectors[0] if summed else vectors
            if vectors.shape == in_layout:
                return lookup.Lookup(name, last=False, summed=summed)
            if vectors.numel() == math.prod(grid) * vectors.shape[-1]:
                return lookup.Lookup(name, last=True, summed=summed)
        return lookup.Lookup("", last=True, summed=False)


def copied(module: nn.Module) -> Any:
    """A deep copy; tensors that carry a graph, such as a kept output, are copied without it."""
    memo: dict[int, Any] = {}
    for inner in module.modules():
        for value in vars(inner).values():
            if isinstance(value, Tensor) and not value.is_leaf:
                memo[id(value)] = value.detach().clone()
    return copy.deepcopy(module, memo)


Recognised = tuple[VectorLayout, parts.Roles, parts.Roles]  # roles in training, in evaluation


def recognised(
    module: nn.Module, code_dim: int, grid: TokenGrid, layout: str, outputs: Mapping[str, str]
) -> Recognised:
    """The layout that a module takes and what it returns there; of several, one that is local.

    A layout is local if a vector's token depends on that vector alone: a module that flattens
    everything takes any layout, and mixes positions in all but its own.

    Raises:
        UserError: ``layout`` is none of the four.
        NotFound: it takes none of them, or returns no vectors or tokens.
    """
    if layout and layout not in LAYOUTS:
        raise UserError(f"--layout {layout!r}{did_you_mean(layout, LAYOUTS)}")
    refusals: dict[str, Exception] = {}
    taken: list[Recognised] = []
    for name in (layout,) if layout else LAYOUTS:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                taken.append(_tried(module, VectorLayout(name), code_dim, grid, outputs))
                if _is_local(module, taken[-1], code_dim, grid):
                    return taken[-1]
        except (*lookup.ERRORS, parts.NotFound) as error:
            refusals[name] = error
    if taken:
        return taken[0]
    unrecognised = [e for e in refusals.values() if isinstance(e, parts.NotFound)]
    raise unrecognised[0] if unrecognised else Refused(refusals)


class Refused(parts.NotFound):
    """A module that fails in every layout; ``errors`` has its own exceptions."""

    def __init__(self, errors: dict[str, Exception]):
        said = "; ".join(f"{name}: {type(e).__name__}: {e}" for name, e in errors.items())
        super().__init__(f"no layout works ({said}); --layout names the right one")
        self.errors = errors


def _tried(
    module: nn.Module,
    form: VectorLayout,
    code_dim: int,
    grid: TokenGrid,
    outputs: Mapping[str, str],
) -> Recognised:
    z_e = torch.randn(grid[0], code_dim, *grid[1:]).requires_grad_()
    native, positions = form.native(z_e), form.positions(grid)
    trained = parts.leaves(copied(module).train()(native.clone()))
    evaluated = parts.leaves(copied(module).eval()(native.clone()))
    roles = parts.roles(trained, native, positions, outputs)
    if _kinds(trained) == _kinds(evaluated):
        return form, roles, roles
    return form, roles, parts.roles(evaluated, native, positions, outputs)


def _kinds(found: parts.Leaves) -> dict[parts.Path, tuple[torch.dtype, int]]:
    return {path: (tensor.dtype, tensor.ndim) for path, tensor in found.items()}


def _is_local(module: nn.Module, found: Recognised, code_dim: int, grid: TokenGrid) -> bool:
    """Whether a change of one vector leaves the tokens of the others alone."""
    form, _, roles = found
    before = torch.randn(grid[0], code_dim, *grid[1:])
    after = before.clone()
    after[0, :, 0, 1] = -3 * before[0, :, 0, 1]
    tokens = []
    for z_e in (before, after):
        with torch.no_grad():
            leaves = parts.leaves(copied(module).eval()(form.native(z_e).clone()))
        tokens.append(roles.form.normal(roles.tokens_of(leaves), grid))
    differs = tokens[0] != tokens[1]
    differs[0, 0, 1] = False
    return not bool(differs.any())


def wrap(cls: type[nn.Module], label: str) -> type[Wrapped]:
    """The method that trains a module's class as it is, printed as ``label``."""
    attributes = {
        "module_class": cls,
        "found": {},
        "label": label,
        "network": "vqvae",
        "Settings": arguments.settings_class(cls),
        "__doc__": cls.__doc__,
        "__module__": cls.__module__,
    }
    return type(cls.__name__, (Wrapped,), attributes)
