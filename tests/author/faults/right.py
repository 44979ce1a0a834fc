"""Quantizers without a fault; each file beside this one breaks one of them in one place."""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional


class PlainVQ(nn.Module):
    """Codes learned by the loss; vectors (B, N, D); returns (vectors, tokens, loss)."""

    def __init__(self, dim: int = 8, codebook_size: int = 64, beta: float = 0.25):
        super().__init__()
        self.beta = beta
        self.codebook = nn.Parameter(torch.randn(codebook_size, dim))

    def forward(self, z):
        tokens = self.nearest(z)
        codes = self.codebook[tokens]
        return self.shown(z, codes), tokens, self.loss(z, codes)

    def nearest(self, z):
        return torch.cdist(z.detach(), self.codebook.detach().expand(len(z), -1, -1)).argmin(-1)

    def shown(self, z, codes):
        return z + (codes - z).detach()

    def loss(self, z, codes):
        commitment = functional.mse_loss(z, codes.detach())
        return functional.mse_loss(codes, z.detach()) + self.beta * commitment

    def get_codes_from_indices(self, tokens):
        return self.codebook[tokens]


class AverageVQ(nn.Module):
    """Codes are moving averages, replaced when rare; masks; sums over processes; a dictionary."""

    def __init__(self, dim: int = 8, codebook_size: int = 64, dead_below: float = 0.5):
        super().__init__()
        self.dead_below = dead_below
        self.register_buffer("codebook", torch.randn(codebook_size, dim))
        self.register_buffer("counts", torch.ones(codebook_size))
        self.register_buffer("sums", self.codebook.clone())

    def forward(self, z, mask=None):
        tokens = torch.cdist(z.detach(), self.codebook.expand(len(z), -1, -1)).argmin(-1)
        codes = functional.embedding(tokens, self.codebook)
        loss = self.loss(z, codes, mask)
        if self.training:
            kept = torch.ones_like(tokens, dtype=torch.bool) if mask is None else mask
            self.update(z.detach()[kept], tokens[kept])
        return {"quantized": z + (codes - z).detach(), "indices": tokens, "loss": loss}

    def loss(self, z, codes, mask):
        off = (z - codes).square().mean(-1)
        return 0.25 * (off.mean() if mask is None else off[mask].mean())

    @torch.no_grad()
    def update(self, vectors, tokens):
        self.average(vectors, tokens)
        self.rebuild()
        self.revive(vectors)

    def average(self, vectors, tokens):
        counts = torch.zeros_like(self.counts).index_add_(0, tokens, torch.ones(len(tokens)))
        sums = torch.zeros_like(self.sums).index_add_(0, tokens, vectors)
        self.counts.lerp_(self.over_processes(counts), 0.2)
        self.sums.lerp_(self.over_processes(sums), 0.2)

    def rebuild(self):
        self.codebook.copy_(self.sums / self.counts.clamp(min=1e-3)[:, None])

    def revive(self, vectors):
        dead = self.counts < self.dead_below
        chosen = self.from_first(vectors[torch.randint(len(vectors), (len(dead),))])
        self.codebook[dead] = chosen[dead]
        self.sums[dead] = chosen[dead]
        self.counts[dead] = 1.0

    def over_processes(self, tensor):
        if distributed.is_initialized():
            distributed.all_reduce(tensor)
        return tensor

    def from_first(self, tensor):
        if distributed.is_initialized():
            distributed.broadcast(tensor, 0)
        return tensor

    def get_codes_from_indices(self, tokens):
        return self.codebook[tokens]


class ProjectedVQ(nn.Module):
    """Codes behind a linear layer; images (B, D, H, W); returns a tuple in another order."""

    def __init__(self, dim: int = 8, n_embed: int = 64):
        super().__init__()
        self.embedding = nn.Embedding(n_embed, dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, z):
        x = z.permute(0, 2, 3, 1)
        tokens = self.tokens(x)
        codes = self.look_up(tokens)
        loss = functional.mse_loss(codes, x.detach()) + functional.mse_loss(x, codes.detach())
        shown = x + (codes - x).detach()
        return loss, shown.permute(0, 3, 1, 2), (None, None, tokens)

    def tokens(self, x):
        codes = self.proj(self.embedding.weight).detach()
        return torch.cdist(x.detach().flatten(0, 2), codes).argmin(-1).view(x.shape[:3])

    def look_up(self, tokens):
        return self.proj(self.embedding(tokens))

    def get_codebook_entry(self, indices, shape):
        return self.look_up(indices.reshape(shape[:3])).permute(0, 3, 1, 2)


class Lattice(nn.Module):
    """Each dimension is bounded and rounded; nothing is learned; vectors (B, N, D)."""

    def __init__(self, levels=(9, 9)):
        super().__init__()
        self.levels = tuple(levels)
        bases = [1]
        for level in self.levels[:-1]:
            bases.append(bases[-1] * level)
        self.register_buffer("bases", torch.tensor(bases))
        self.register_buffer("middle", torch.tensor([(level - 1) / 2 for level in self.levels]))

    def forward(self, z):
        bounded = z.tanh() * self.middle
        rounded = self.rounded(bounded)
        return (bounded + (rounded - bounded).detach()) / self.middle, self.ids(rounded)

    def rounded(self, bounded):
        return bounded.round()

    def ids(self, rounded):
        digits = (rounded + self.middle).round().long()
        return (digits * self.bases).sum(-1)

    def indices_to_codes(self, tokens):
        levels = torch.tensor(self.levels)
        return (tokens.unsqueeze(-1) // self.bases % levels - self.middle) / self.middle


class Residual(nn.Module):
    """Three codebooks, each for what the ones before left over; tokens (B, N, 3)."""

    def __init__(self, dim: int = 8, codebook_size: int = 64):
        super().__init__()
        self.codebooks = nn.ParameterList(
            nn.Parameter(torch.randn(codebook_size, dim) / 2**depth) for depth in range(3)
        )

    def forward(self, z):
        rest, total, tokens, losses = z, torch.zeros_like(z), [], []
        for codebook in self.codebooks:
            rows = codebook.detach().expand(len(z), -1, -1)
            tokens.append(torch.cdist(rest.detach(), rows).argmin(-1))
            codes = codebook[tokens[-1]]
            losses.append(
                functional.mse_loss(rest, codes.detach()) / 4
                + functional.mse_loss(codes, rest.detach())
            )
            rest, total = rest - codes.detach(), total + codes
        return self.scaled(z + (total - z).detach()), torch.stack(tokens, -1), torch.stack(losses)

    def scaled(self, shown):
        return shown

    def get_output_from_indices(self, tokens):
        return sum(book[t] for book, t in zip(self.codebooks, tokens.unbind(-1), strict=True))


RIGHT: dict[str, type[nn.Module]] = {
    cls.__name__: cls for cls in (PlainVQ, AverageVQ, ProjectedVQ, Lattice, Residual)
}
__all__ = ["RIGHT", "AverageVQ", "Lattice", "PlainVQ", "ProjectedVQ", "Residual", "Tensor"]
