"""Cosine VQ: vectors and codes on the unit sphere of few dimensions; the decoder sees unit vectors.

Paper: Yu et al. Vector-quantized image modeling with improved VQGAN (ViT-VQGAN). ICLR 2022.
    https://arxiv.org/abs/2110.04627; Sun et al. Autoregressive model beats diffusion (LlamaGen).
    2024. https://arxiv.org/abs/2406.06525
Reference code: FoundationVision/LlamaGen, tokenizer/tokenizer_image/vq_model.py, VectorQuantizer,
    ce98ec4 (ViT-VQGAN has none).

    u = z_e / ||z_e||,  e_k = c_k / ||c_k||,  token = argmin_k ||u - e_k||^2,  z_q = its e
    the decoder's gradient at z_q is passed to u, and from there through the normalisation
    loss = ||sg[u] - z_q||^2 + beta ||u - sg[z_q]||^2, means over elements
           + entropy (mean H(p) - H(mean p)),  p = softmax(-||u - e_k||^2 / T)
    evaluation: no loss

The gradients are orthogonal to z_e and to c_k and scaled by 1 / norm: the stored c_k grow slowly,
which lowers their own learning rate. ``codes()`` are the e_k.

Differs from the paper:
    1. LlamaGen draws c_k from the cube U(-1/K, 1/K) and normalises it once, so that directions are
       not uniform for large D; the popular port of ViT-VQGAN (thuanz123/enhancing-transformers,
       e1c185d) draws N(0, 1): ``codebook_init``.
    2. The code has the entropy term with weight 0: ``entropy``, ``temperature``.
    3. LlamaGen's D is 8 and its K 16 384; both are free here.
    4. The code logs usage over the last 65 536 tokens of training, in a buffer that starts as
       zeros; here usage is that of a split.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from collapsebench import ops
from collapsebench.quantizer import Quantized, Quantizer
from collapsebench.settings import NonNegative, PositiveFloat


class CosineVQ(Quantizer):
    label = "cosine VQ"
    network = "vqvae"
    recordable = True

    @dataclass(frozen=True)
    class Settings:
        beta: NonNegative = 0.25  # reference code, commit_loss_beta
        entropy: NonNegative = 0.0  # reference code, entropy_loss_ratio
        temperature: PositiveFloat = 0.01  # reference code, of the entropy term
        codebook_init: Literal["uniform", "normal"] = "uniform"  # reference code

    def __init__(self, codebook_size: int, code_dim: int, settings: Settings):
        super().__init__(codebook_size, code_dim, settings)
        codebook = ops.random_codebook(settings.codebook_init, codebook_size, code_dim)
        if settings.codebook_init == "uniform":
            codebook = functional.normalize(codebook, dim=-1)
        self.codebook = nn.Parameter(codebook)

    def forward(self, z_e: Tensor) -> Quantized:
        u, codes = functional.normalize(z_e, dim=1), self._codes()
        tokens = ops.nearest(ops.channels_last(u), codes)
        z_q = ops.lookup(codes, tokens)
        if not self.training:
            return Quantized(z_q, tokens, z_e.new_zeros(()))

        commitment = functional.mse_loss(u, z_q.detach())
        loss = functional.mse_loss(z_q, u.detach()) + self.settings.beta * commitment
        terms = {"commitment": commitment.detach()}
        if self.settings.entropy:
            distances = ops.squared_distances(ops.channels_last(u), codes)
            rows, mean = ops.entropies(-distances / self.settings.temperature)
            loss = loss + self.settings.entropy * (rows - mean)
            terms |= {"row_entropy": rows.detach(), "mean_entropy": mean.detach()}
        return Quantized(ops.straight_through(u, z_q), tokens, loss, terms)

    def _codes(self) -> Tensor:
        return functional.normalize(self.codebook, dim=-1)  # (K, D)

    def embed(self, tokens: Tensor) -> Tensor:
        return ops.lookup(self._codes(), tokens)

    def codes(self) -> Tensor:
        return self._codes().detach()
