"""Exact sampling of the prior: one position at a time, nothing known is computed twice.

A causal convolution reads four finished rows and the left of its own. What the rows give is
computed once per row, for all columns; a position adds the taps of its own row. Attention keeps
its keys and values. Of several codebooks, what the blocks give at a position serves all its depths.
Every value is a function of earlier tokens only and is computed once, so the logits are those of
the full forward pass. The split by rows follows Fast PixelCNN++ (PrajitR/fast-pixel-cnn, commit
6a88afb).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from collapsebench.prior.network import (
    ABOVE,
    HEADS,
    LEFT,
    SIDE,
    UP,
    CausalConv,
    Depth,
    Gated,
    PixelBlock,
    PixelSNAIL,
)

SamplingProgress = Callable[[int, int], None]


class Predictor(Protocol):
    """What draws a grid: asked for logits and told the token, in raster order, depth by depth."""

    def logits(self, row: int, column: int, depth: int) -> Tensor:
        """(B, K) of this codebook at this position, given the tokens put so far."""

    def put(self, row: int, column: int, depth: int, tokens: Tensor) -> None:
        """Tells the tokens (B,) of this codebook at this position."""


@torch.inference_mode()
def sample(
    model: PixelSNAIL,
    count: int,
    *,
    seed: int,
    temperature: float = 1.0,
    batch_size: int = 256,
    device: torch.device,
    progress: SamplingProgress = lambda done, count: None,
) -> np.ndarray:
    """Token grids drawn from the prior, exactly, by cached evaluation.

    Sample i takes its noise from (seed, i) alone: a longer run begins with the samples of a
    shorter one, and the batch size changes no sample (but for logits that differ by float
    rounding where a uniform number falls that close to a token's edge).

    Args:
        model: put on ``device`` and in eval mode.
        count: how many grids.
        temperature: divides the logits.
        progress: called after each batch with the grids done and asked for.

    Returns:
        (count, H, W) or (count, H, W, Q) int64 in [0, K).
    """
    return _sample(Cache, model, count, seed, temperature, batch_size, device, progress)


@torch.inference_mode()
def sample_naive(
    model: PixelSNAIL,
    count: int,
    *,
    seed: int,
    temperature: float = 1.0,
    batch_size: int = 256,
    device: torch.device,
    progress: SamplingProgress = lambda done, count: None,
) -> np.ndarray:
    """The samples of ``sample`` by a forward pass over rows 0 to i per position: its oracle."""
    return _sample(Naive, model, count, seed, temperature, batch_size, device, progress)


@torch.inference_mode()
def teacher_forced(model: PixelSNAIL, tokens: Tensor) -> Tensor:
    """The logits (B, K, H, W) or (B, K, H, W, Q) of ``model(tokens)`` in eval mode, cached.

    Args:
        tokens: (B, H, W) or (B, H, W, Q) int64, of the model's own size.
    """
    cache = Cache(model.eval(), len(tokens))
    grid = tokens.reshape(-1, model.height, model.width, model.codebooks)
    logits = []
    for i, j, q in np.ndindex(*grid.shape[1:]):
        logits.append(cache.logits(i, j, q))
        cache.put(i, j, q, grid[:, i, j, q])
    return torch.stack(logits, -1).unflatten(-1, model.grid)


def _sample(
    predictor: Callable[[PixelSNAIL, int], Predictor],
    model: PixelSNAIL,
    count: int,
    seed: int,
    temperature: float,
    batch_size: int,
    device: torch.device,
    progress: SamplingProgress,
) -> np.ndarray:
    model.to(device).eval()
    shape = (model.height, model.width, model.codebooks)
    grids = np.empty((count, *shape), np.int64)
    with parametrize.cached():  # weights are normalised once
        for first in range(0, count, batch_size):
            indices = range(first, min(first + batch_size, count))
            noise = torch.from_numpy(uniforms(seed, indices, shape))
            drawn = _draw_grids(predictor(model, len(indices)), noise.to(device), temperature)
            grids[first : first + len(indices)] = drawn.cpu().numpy()
            progress(first + len(indices), count)
    return grids.reshape(count, *model.grid)


def _draw_grids(predictor: Predictor, noise: Tensor, temperature: float) -> Tensor:
    """noise (B, H, W, Q) -> tokens (B, H, W, Q)."""
    grid = torch.empty_like(noise, dtype=torch.int64)
    for i, j, q in np.ndindex(*noise.shape[1:]):
        grid[:, i, j, q] = draw(predictor.logits(i, j, q), noise[:, i, j, q], temperature)
        predictor.put(i, j, q, grid[:, i, j, q])
    return grid


def uniforms(seed: int, indices: range, shape: tuple[int, ...]) -> np.ndarray:
    """(len(indices), *shape) float64 in [0, 1), each grid from a generator keyed (seed, index)."""
    grids = [
        np.random.Generator(np.random.Philox(key=[seed, index])).random(shape) for index in indices
    ]
    return np.stack(grids)


def draw(logits: Tensor, noise: Tensor, temperature: float) -> Tensor:
    """Tokens (B,) by inverting the distribution function of softmax(logits / temperature).

    Args:
        logits: (B, K); the sums are float64.
        noise: (B,) float64 in [0, 1).
    """
    cdf = torch.softmax(logits / temperature, 1).cumsum(1, dtype=torch.float64)
    tokens = torch.searchsorted(cdf, noise[:, None] * cdf[:, -1:], right=True)
    return tokens.squeeze(1).clamp_(max=logits.shape[1] - 1)


class Naive:
    """Row-cropped full forward passes, as rosinality/vq-vae-2-pytorch, sample.py does it."""

    def __init__(self, model: PixelSNAIL, batch: int):
        self.model = model
        size = (batch, *model.grid)
        self.tokens = torch.zeros(size, dtype=torch.int64, device=model.coordinates.device)
        self.places = self.tokens.view(batch, model.height, model.width, model.codebooks)

    def logits(self, row: int, column: int, depth: int) -> Tensor:
        """(B, K)."""
        here = self.model(self.tokens[:, : row + 1])[:, :, row, column]
        return here.reshape(*here.shape[:2], -1)[:, :, depth]

    def put(self, row: int, column: int, depth: int, tokens: Tensor) -> None:
        """Remembers tokens (B,)."""
        self.places[:, row, column, depth] = tokens


class Cache:
    """The network evaluated position by position over B grids, with all state it needs.

    Attributes:
        features: (B, C), what the blocks give at the current position.
        known: (B, C), the sum of the embedded tokens put there so far.
    """

    features: Tensor
    known: Tensor

    def __init__(self, model: PixelSNAIL, batch: int):
        self.stem = StemCache(model, batch)
        self.blocks = [BlockCache(cast(PixelBlock, block), model, batch) for block in model.blocks]
        self.head = fold(model.head)
        self.depths = [DepthCache(cast(Depth, depth)) for depth in model.depths]

    def logits(self, row: int, column: int, depth: int) -> Tensor:
        """(B, K)."""
        if depth > 0:
            return self.depths[depth - 1].logits(self.features, self.known)
        if column == 0:
            self.stem.start_row(row)
            for block in self.blocks:
                block.start_row(row)
        h = self.stem.at(column)
        for block in self.blocks:
            h = block.at(h, row, column)
        self.features, self.known = h, torch.zeros_like(h)
        return torch.addmm(self.head[0], functional.elu(h), self.head[1])

    def put(self, row: int, column: int, depth: int, tokens: Tensor) -> None:
        """Remembers tokens (B,)."""
        self.stem.put(row, column, depth, tokens)
        if depth < len(self.depths):
            self.known = self.known + self.depths[depth].embedding(tokens)


class StemCache:
    """The stem's sums for the current row, completed as its tokens are put."""

    def __init__(self, model: PixelSNAIL, batch: int):
        self.stem, self.codebook_size = model.stem, model.codebook_size
        self.table = self.stem.table()
        self.bias = self.stem.bias(model.height, model.width)
        size = (batch, model.height + 2, model.width + 2 * SIDE, model.codebooks)
        self.tokens = torch.full(size, self.stem.codebook_size, device=self.table.device)
        taps = (ABOVE + LEFT).index((0, -1)), (ABOVE + LEFT).index((0, -2))
        self.left = [
            self.table.unflatten(0, (-1, self.stem.codebook_size + 1))[tap] for tap in taps
        ]
        self.sums = self.table.new_zeros(batch, model.width, self.table.shape[1])

    def start_row(self, row: int) -> None:
        """Sums up what the rows above give; the current row holds no token yet."""
        seen = self.tokens[:, row : row + 3]
        self.sums.copy_(self.stem.look_up(seen, self.table)[:, 0] + self.bias[row])

    def at(self, column: int) -> Tensor:
        """(B, C)."""
        return self.sums[:, column]

    def put(self, row: int, column: int, depth: int, tokens: Tensor) -> None:
        """Remembers tokens (B,) and adds them to the sums of the next two columns."""
        entries = tokens + depth * self.codebook_size
        self.tokens[:, 2 + row, SIDE + column, depth] = entries
        for table, later in zip(self.left, range(column + 1, self.sums.shape[1]), strict=False):
            self.sums[:, later] += table[entries]


class DepthCache:
    """A codebook after the first: its layer, and the embedding of the tokens above it."""

    def __init__(self, depth: Depth):
        self.embedding = depth.embedding
        self.layer, self.head = PointwiseGated(depth.layer), fold(depth.head)

    def logits(self, features: Tensor, known: Tensor) -> Tensor:
        """(B, K), of the position's features and what is known of its tokens, both (B, C)."""
        h = self.layer(torch.cat([features, known], 1))
        return torch.addmm(self.head[0], functional.elu(h), self.head[1])


class ConvCache:
    """The like convolutions of a block's layers: finished rows, the current one, what they give.

    Attributes:
        above: (layers, out, in, 4, 5), the kernels' part in the finished rows.
        left: (layers, 2 * in, out), their two taps to the left.
        center: (layers, in, out), their tap at the position itself; zero in a strict network.
        rows: (layers, B, 5, W + 4, in), the inputs' features; the last row is the current one.
        top: (layers, B, W, out), bias and the finished rows' share of every column.
    """

    def __init__(self, convs: list[CausalConv], batch: int, width: int):
        kernels = torch.stack([conv.kernel() for conv in convs])
        layers, out_channels, in_channels = kernels.shape[:3]
        self.above = kernels[:, :, :, :UP].contiguous()
        self.left = kernels[:, :, :, UP, :SIDE].permute(0, 3, 2, 1).flatten(1, 2)
        self.center = kernels[:, :, :, UP, SIDE].transpose(1, 2).contiguous()
        self.biases = [conv.conv.bias for conv in convs]
        self.rows = kernels.new_zeros(layers, batch, UP + 1, width + 2 * SIDE, in_channels)
        self.top = kernels.new_zeros(layers, batch, width, out_channels)
        line = self.rows[:, :, UP]
        self._seen = [line[:, :, j : j + SIDE].flatten(2) for j in range(width)]  # views

    def start_row(self, row: int) -> None:
        """Moves the finished row up and sums up what the rows above give."""
        if row > 0:
            for r in range(UP):
                self.rows[:, :, r] = self.rows[:, :, r + 1]
        for top, rows, kernel, bias in zip(
            self.top, self.rows, self.above, self.biases, strict=True
        ):
            above = rows[:, :UP].permute(0, 3, 1, 2)
            top.copy_(functional.conv2d(above, kernel, bias)[:, :, 0].transpose(1, 2))

    def at(self, column: int) -> Tensor:
        """(layers, B, out), of all that lies before this position."""
        return torch.baddbmm(self.top[:, :, column], self._seen[column], self.left)

    def put(self, column: int, features: Tensor) -> None:
        """Remembers this position's features (layers, B, in)."""
        self.rows[:, :, UP, SIDE + column] = features


class BlockCache:
    """A block: its convolutions, keys and values of all positions so far."""

    def __init__(self, block: PixelBlock, model: PixelSNAIL, batch: int):
        self.width = model.width
        self.inclusive = block.inclusive
        self.first, self.second = (
            ConvCache([cast(CausalConv, conv) for conv in convs], batch, self.width)
            for convs in zip(*((layer.first, layer.second) for layer in block.layers), strict=True)
        )
        self.key, self.query, self.out = (
            PointwiseGated(gated) for gated in (block.key, block.query, block.out)
        )
        query, key, value = (
            fold(linear)
            for linear in (block.attention.query, block.attention.key, block.attention.value)
        )
        self.head_size = len(query[0]) // HEADS
        self.to_query = tuple(x * self.head_size**-0.5 for x in query)
        self.to_memory = tuple(by_head(x, y) for x, y in zip(key, value, strict=True))
        size = (batch * HEADS, 2 * self.head_size, model.height * model.width)
        self.memory = query[0].new_zeros(size)
        self.coordinates = model.coordinates.permute(1, 2, 0)[:, :, None].expand(-1, -1, batch, 2)

    def start_row(self, row: int) -> None:
        """Before column 0 of each row."""
        self.first.start_row(row)
        self.second.start_row(row)

    def at(self, x: Tensor, row: int, column: int) -> Tensor:
        """(B, C) -> (B, C)."""
        h = (self.inclusive_layers if self.inclusive else self.strict_layers)(x, column)
        features = torch.cat([x, h, self.coordinates[row, column]], 1)
        key, query = self.key(features), self.query(features[:, h.shape[1] :])
        attended = self.attend(query, key, row * self.width + column)
        return self.out(torch.cat([h, attended], 1))

    def strict_layers(self, h: Tensor, column: int) -> Tensor:
        """All layers at once: none of their convolutions sees this position."""
        self.second.put(column, functional.elu(self.first.at(column)))
        gates = functional.glu(self.second.at(column), 2)
        sums = torch.cat([h[None], gates]).cumsum(0)
        self.first.put(column, functional.elu(sums[:-1]))
        return sums[-1]

    def inclusive_layers(self, h: Tensor, column: int) -> Tensor:
        """Layer after layer: each sees this position through the centre tap."""
        inputs, middles = [], []
        for first, second, center1, center2 in zip(
            self.first.at(column),
            self.second.at(column),
            self.first.center,
            self.second.center,
            strict=True,
        ):
            inputs.append(functional.elu(h))
            middles.append(functional.elu(torch.addmm(first, inputs[-1], center1)))
            h = h + functional.glu(torch.addmm(second, middles[-1], center2), 1)
        self.first.put(column, torch.stack(inputs))
        self.second.put(column, torch.stack(middles))
        return h

    def attend(self, query: Tensor, key: Tensor, position: int) -> Tensor:
        """(B, C / 2): attention over the positions before this one, whose key is then kept."""
        past = self.memory[:, :, :position]
        keys, values = past.split(self.head_size, 1)
        q = torch.addmm(self.to_query[0], query, self.to_query[1]).view(-1, 1, self.head_size)
        weights = torch.softmax(torch.bmm(q, keys), 2)
        out = torch.bmm(values, weights.transpose(1, 2))  # of no position at all: zeros
        new = torch.addmm(self.to_memory[0], key, self.to_memory[1])
        self.memory[:, :, position] = new.view(-1, 2 * self.head_size)
        return out.view(len(query), -1)


class PointwiseGated:
    """A gated layer of 1 x 1 convolutions over rows (B, in), its extra input beside x."""

    def __init__(self, gated: Gated):
        self.first, self.second = fold(gated.first), fold(gated.second)
        self.channels = len(self.first[1])
        if gated.extra is not None:
            bias, weight = fold(gated.extra)
            self.first = (self.first[0] + bias, torch.cat([self.first[1], weight]))

    def __call__(self, x: Tensor) -> Tensor:
        """(B, channels of x and of the extra input) -> (B, channels of x)."""
        hidden = torch.addmm(self.first[0], functional.elu(x), self.first[1])
        gates = torch.addmm(self.second[0], functional.elu(hidden, inplace=True), self.second[1])
        return x[:, : self.channels] + functional.glu(gates, 1)


def fold(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """(bias (out,), weight (in, out)) of a linear layer or a 1 x 1 convolution."""
    bias, weight = cast(Tensor, layer.bias), cast(Tensor, layer.weight)
    return bias, weight.flatten(1).t().contiguous()


def by_head(key: Tensor, value: Tensor) -> Tensor:
    """(..., heads * d) twice -> (..., heads * 2d): each head's key beside its value."""
    pair = torch.stack([key.unflatten(-1, (HEADS, -1)), value.unflatten(-1, (HEADS, -1))], -2)
    return pair.flatten(-3)
