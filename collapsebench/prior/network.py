"""PixelSNAIL over token grids: gated causal convolutions and strict-causal attention.

Paper: X. Chen, N. Mishra, M. Rohaninejad, P. Abbeel, "PixelSNAIL: An Improved Autoregressive
Generative Model", ICML 2018, https://arxiv.org/abs/1712.09763
Reference code: rosinality/vq-vae-2-pytorch, pixelsnail.py, commit ef5f67c.

    p(tokens) = prod_p p(token_p | before p)            positions p in raster order
    p(token_p | before p) = prod_d p(token_pd | before p, token_pe, e < d)   of several codebooks
    layer:  h + GLU(conv2(drop(ELU(conv1(ELU(h))))))    5 x 5 causal convolutions
    block:  layers, then attention over the positions before p, then a pointwise layer on both
    depth:  a pointwise layer on the blocks' features and the sum of the embedded token_pe, e < d

Differs from the reference code: the stem is a sum of table rows, not a convolution of one-hot
vectors (the same function); masked taps are multiplied by zero, not overwritten;
``center="inclusive"`` keeps the centre tap, as the authors' network does
(neocxi/pixelsnail-public, commit 05a70fb). Weights are normalised per output channel. Several
codebooks are ours: the stem sees the tokens of all depths, and each depth has a head of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from collapsebench.settings import Prior, UserError

HEADS = 8  # reference code
KERNEL = 5  # reference code
SIDE = KERNEL // 2  # columns a kernel reaches to either side
UP = KERNEL - 1  # rows a causal kernel reaches up

# What the stem sees of (row, column), relative to the position that is predicted.
ABOVE = [(row, column) for row in (-2, -1) for column in (-2, -1, 0, 1, 2)]
LEFT = [(row, column) for row in (-2, -1, 0) for column in (-2, -1)]


def pointwise(in_channels: int, out_channels: int) -> nn.Module:
    """A weight-normalised 1 x 1 convolution."""
    return weight_norm(nn.Conv2d(in_channels, out_channels, 1))


class CausalConv(nn.Module):
    """A 5 x 5 convolution that sees four rows above and, in its own row, what lies to the left.

    Args:
        in_channels: channels read.
        out_channels: channels written.
        inclusive: whether the position itself is seen too; the stem never shows it its own token.
    """

    def __init__(self, in_channels: int, out_channels: int, inclusive: bool):
        super().__init__()
        mask = torch.ones(KERNEL, KERNEL)
        mask[-1, SIDE + inclusive :] = 0
        self.register_buffer("mask", mask, persistent=False)
        self.conv = weight_norm(nn.Conv2d(in_channels, out_channels, KERNEL))
        with torch.no_grad():  # masked taps stay zero: they get no gradient and add to no norm
            self.conv.parametrizations.weight.original1.mul_(mask)

    def kernel(self) -> Tensor:
        """(out, in, 5, 5), masked."""
        return self.conv.weight * self.mask

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H, W)."""
        x = functional.pad(x, (SIDE, SIDE, UP, 0))
        return functional.conv2d(x, self.kernel(), self.conv.bias)


class Gated(nn.Module):
    """A gated residual layer, ``x + GLU(second(drop(ELU(first(ELU(x)) + extra(ELU(y))))))``.

    Args:
        conv: (in, out) -> the convolution to use.
        channels: channels of x.
        hidden: channels between the two convolutions.
        dropout: probability of dropping a hidden value.
        extra_channels: channels of y; 0 = the layer takes no y.
    """

    def __init__(
        self,
        conv: Callable[[int, int], nn.Module],
        channels: int,
        hidden: int,
        dropout: float,
        extra_channels: int = 0,
    ):
        super().__init__()
        self.first = conv(channels, hidden)
        self.extra = pointwise(extra_channels, hidden) if extra_channels else None
        self.dropout = nn.Dropout(dropout)
        self.second = conv(hidden, 2 * channels)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, channels, H, W) -> the same shape."""
        hidden = self.first(functional.elu(x))
        if self.extra is not None and y is not None:
            hidden = hidden + self.extra(functional.elu(y))
        return x + functional.glu(self.second(self.dropout(functional.elu(hidden))), 1)


class Stem(nn.Module):
    """Tokens to features: two convolutions of the one-hot tokens, as sums of table rows.

    One sees the two rows above, five columns wide; the other two columns to the left, three rows
    high. Each has a bias only where it can see the grid: not in row 0, not in column 0.
    """

    def __init__(self, codebook_size: int, channels: int):
        super().__init__()
        self.codebook_size = codebook_size
        self.above = weight_norm(nn.Conv2d(codebook_size, channels, (2, KERNEL)))
        self.left = weight_norm(nn.Conv2d(codebook_size, channels, (3, 2)))

    def table(self) -> Tensor:
        """(taps * (K + 1), C): for each tap a row per token, and a zero row for "outside"."""
        kernels = torch.cat([self.above.weight.flatten(2), self.left.weight.flatten(2)], 2)
        return functional.pad(kernels.permute(2, 1, 0), (0, 0, 0, 1)).flatten(0, 1)

    def bias(self, height: int, width: int) -> Tensor:
        """(H, W, C): the biases that hold at each position."""
        rows = torch.arange(height, device=self.above.weight.device).sign()[:, None, None]
        columns = torch.arange(width, device=self.above.weight.device).sign()[None, :, None]
        return rows * self.above.bias + columns * self.left.bias

    def look_up(self, padded: Tensor, table: Tensor) -> Tensor:
        """Sums of the table rows of what each position sees, without bias.

        Args:
            padded: (B, H + 2, W + 4) or (B, H + 2, W + 4, Q) int64, K where there is no token.
            table: ``table()``.

        Returns:
            (B, H, W, C).
        """
        height, width = padded.shape[1] - 2, padded.shape[2] - 2 * SIDE
        seen = [
            padded[:, 2 + row : 2 + row + height, SIDE + column : SIDE + column + width]
            for row, column in ABOVE + LEFT
        ]
        starts = torch.arange(0, len(table), self.codebook_size + 1, device=table.device)
        rows = (torch.stack(seen, -1) + starts).flatten(0, 2).flatten(1)
        return functional.embedding_bag(rows, table, mode="sum").view(*seen[0].shape[:3], -1)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, H, W) or (B, H, W, Q) int64 -> (B, C, H, W)."""
        margins = (0, 0) * (tokens.ndim - 3) + (SIDE, SIDE, 2, 0)
        padded = functional.pad(tokens, margins, value=self.codebook_size)
        h = self.look_up(padded, self.table()) + self.bias(*tokens.shape[1:3])
        return h.permute(0, 3, 1, 2)


class Attention(nn.Module):
    """Eight-headed attention of each position over the ones before it; position 0 gets zeros."""

    def __init__(self, query_channels: int, key_channels: int, channels: int, dropout: float):
        super().__init__()
        self.query = weight_norm(nn.Linear(query_channels, channels))
        self.key = weight_norm(nn.Linear(key_channels, channels))
        self.value = weight_norm(nn.Linear(key_channels, channels))
        self.dropout = dropout

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        """query (B, Cq, H, W), key (B, Ck, H, W) -> (B, channels, H, W)."""
        batch, _, height, width = query.shape
        query, key = query.flatten(2).transpose(1, 2), key.flatten(2).transpose(1, 2)
        q, k, v = (
            x.unflatten(2, (HEADS, -1)).transpose(1, 2)
            for x in (self.query(query), self.key(key), self.value(key))
        )
        # Query p sees the keys before p: one row of the causal triangle further up.
        out = functional.scaled_dot_product_attention(
            q[:, :, 1:],
            k[:, :, :-1],
            v[:, :, :-1],
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=True,
        )
        out = functional.pad(out, (0, 0, 1, 0))
        return out.transpose(2, 3).reshape(batch, -1, height, width)


class PixelBlock(nn.Module):
    """Gated causal layers, then attention, joined by a pointwise gated layer."""

    def __init__(self, settings: Prior):
        super().__init__()
        channels, dropout = settings.channels, settings.dropout
        self.inclusive = settings.center == "inclusive"

        def causal(in_channels: int, out_channels: int) -> nn.Module:
            return CausalConv(in_channels, out_channels, self.inclusive)

        self.layers = nn.ModuleList(
            Gated(causal, channels, channels, dropout) for _ in range(settings.layers)
        )
        self.key = Gated(pointwise, 2 * channels + 2, channels, dropout)
        self.query = Gated(pointwise, channels + 2, channels, dropout)
        self.attention = Attention(channels + 2, 2 * channels + 2, channels // 2, dropout)
        self.out = Gated(pointwise, channels, channels, dropout, extra_channels=channels // 2)

    def forward(self, x: Tensor, coordinates: Tensor) -> Tensor:
        """x (B, C, H, W), coordinates (B, 2, H, W) -> (B, C, H, W)."""
        h = x
        for layer in self.layers:
            h = layer(h)
        key = self.key(torch.cat([x, h, coordinates], 1))
        query = self.query(torch.cat([h, coordinates], 1))
        return self.out(h, self.attention(query, key))


class Depth(nn.Module):
    """A codebook after the first: its token given the features and the tokens above it."""

    def __init__(self, codebook_size: int, settings: Prior):
        super().__init__()
        channels = settings.channels
        self.embedding = nn.Embedding(codebook_size, channels)
        self.layer = Gated(pointwise, channels, channels, settings.dropout, channels)
        self.head = pointwise(channels, codebook_size)

    def forward(self, h: Tensor, known: Tensor, above: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, K, H, W), and ``known`` with one token more in it.

        Args:
            h: (B, C, H, W), the features of the blocks.
            known: (B, C, H, W), the sum of the embedded tokens that lie further above.
            above: (B, H, W) int64, the tokens one depth above.
        """
        known = known + self.embedding(above).permute(0, 3, 1, 2)
        return self.head(functional.elu(self.layer(h, known))), known


class PixelSNAIL(nn.Module):
    """The prior over token grids of one size.

    Args:
        codebook_size: K, the number of tokens.
        height: rows of a grid.
        width: columns of a grid.
        settings: channels, blocks, layers, dropout, center.
        codebooks: Q, tokens at each position; above 1 they are the last axis of a grid.

    Raises:
        UserError: ``channels`` is no multiple of 16 (eight heads on half the channels).
    """

    coordinates: Tensor

    def __init__(
        self, codebook_size: int, height: int, width: int, settings: Prior, codebooks: int = 1
    ):
        super().__init__()
        if settings.channels % (2 * HEADS):
            raise UserError(
                f"bad value for 'prior.channels': {settings.channels} "
                f"(must be a multiple of {2 * HEADS}: {HEADS} heads on half the channels)"
            )
        self.codebook_size, self.codebooks = codebook_size, codebooks
        self.height, self.width = height, width
        self.stem = Stem(codebooks * codebook_size, settings.channels)
        self.blocks = nn.ModuleList(PixelBlock(settings) for _ in range(settings.blocks))
        self.head = pointwise(settings.channels, codebook_size)
        self.depths = nn.ModuleList(Depth(codebook_size, settings) for _ in range(1, codebooks))
        rows, columns = (torch.arange(n) / n - 0.5 for n in (height, width))
        grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))
        self.register_buffer("coordinates", grid, persistent=False)  # (2, H, W)

    @property
    def grid(self) -> tuple[int, ...]:
        """Shape of a grid of tokens: (H, W), or (H, W, Q)."""
        return (self.height, self.width) + (self.codebooks,) * (self.codebooks > 1)

    def entries(self, tokens: Tensor) -> Tensor:
        """Tokens (..., Q), or (..., W) of one codebook, as the stem knows them: token + q K."""
        return tokens + self.codebook_size * torch.arange(self.codebooks, device=tokens.device)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of every token given the ones before it: earlier positions, then depths above.

        Args:
            tokens: (B, h, W) or (B, h, W, Q) int64 in [0, K); h <= H, fewer rows are a grid cut
                off below.

        Returns:
            (B, K, h, W) or (B, K, h, W, Q).
        """
        batch, height = tokens.shape[:2]
        coordinates = self.coordinates[:, :height].expand(batch, -1, -1, -1)
        h = self.stem(self.entries(tokens))
        for block in self.blocks:
            h = block(h, coordinates)
        first = self.head(functional.elu(h))
        return torch.stack([first, *self.deeper(h, tokens)], -1) if self.depths else first

    def deeper(self, h: Tensor, tokens: Tensor) -> Iterator[Tensor]:
        """Logits (B, K, h, W) of the second depth, the third, and so on."""
        known = torch.zeros_like(h)
        for q, depth in enumerate(self.depths):
            logits, known = depth(h, known, tokens[..., q])
            yield logits
