"""Entropy VQ: VQ-VAE with a term that asks each vector to decide and all codes to be used.

Paper: Chang, Zhang, Jiang, Liu, Freeman. MaskGIT: Masked generative image transformer. CVPR 2022.
    https://arxiv.org/abs/2202.04200. The term: Jansen et al. Coincidence, categorization, and
    consolidation. 2019. https://arxiv.org/abs/1911.05894
Reference code: google-research/maskgit, maskgit/nets/vqgan_tokenizer.py, VectorQuantizer, and
    maskgit/libml/losses.py, 1db2359.

    token = argmin_k ||z_e - c_k||^2,  z_q = its code,  straight-through
    loss = beta ||z_e - sg[z_q]||^2 + ||sg[z_e] - z_q||^2, means over elements
           + entropy (mean H(p) - H(mean p)),  p = softmax(-||z_e - c_k||^2 / T)
    evaluation: no loss

The distance is a sum over D: where it is far above T the softmax is one-hot, and the term has a
gradient only between two codes nearly equally far. T decides what this method is.

Differs from the paper:
    1. The term is in the code; that MaskGIT's text describes it could not be confirmed.
    2. Its weight 0.1 stands beside MSE + perceptual + GAN; here it is some 100 times the
       reconstruction error: expect even use at a price in error, and sweep ``entropy``.
    3. The code starts from "variance scaling, fan_in" of a (K, D) array, whose fan-in is K:
       U(-sqrt(3/K), sqrt(3/K)): ``codebook_init``.
    4. The code's D is 256, K 1024; both are free here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from collapsebench import ops
from collapsebench.quantizer import Quantized, Quantizer
from collapsebench.settings import NonNegative, PositiveFloat


class EntropyVQ(Quantizer):
    label = "entropy VQ"
    network = "vqvae"
    recordable = True
    compiles = True

    @dataclass(frozen=True)
    class Settings:
        beta: NonNegative = 0.25  # reference code, commitment_cost
        entropy: NonNegative = 0.1  # reference code, entropy_loss_ratio
        temperature: PositiveFloat = 0.01  # reference code, entropy_temperature
        codebook_init: Literal["fan_in", "uniform", "normal"] = "fan_in"  # reference code

    def __init__(self, codebook_size: int, code_dim: int, settings: Settings):
        super().__init__(codebook_size, code_dim, settings)
        codebook = ops.random_codebook(settings.codebook_init, codebook_size, code_dim)
        self.codebook = nn.Parameter(codebook)

    def forward(self, z_e: Tensor) -> Quantized:
        distances = ops.squared_distances(ops.channels_last(z_e), self.codebook)  # (B, H, W, K)
        tokens = distances.argmin(-1)
        z_q = self.embed(tokens)
        if not self.training:
            return Quantized(z_q, tokens, z_e.new_zeros(()))

        commitment = functional.mse_loss(z_e, z_q.detach())
        codebook = functional.mse_loss(z_q, z_e.detach())
        rows, mean = ops.entropies(-distances / self.settings.temperature)
        loss = codebook + self.settings.beta * commitment + self.settings.entropy * (rows - mean)
        terms = {"commitment": commitment, "row_entropy": rows, "mean_entropy": mean}
        detached = {name: term.detach() for name, term in terms.items()}
        return Quantized(ops.straight_through(z_e, z_q), tokens, loss, detached)

    def embed(self, tokens: Tensor) -> Tensor:
        return ops.lookup(self.codebook, tokens)

    def posterior(self, z_e: Tensor) -> Tensor:
        distances = ops.squared_distances(ops.channels_last(z_e), self.codebook)
        return ops.channels_first((-distances / self.settings.temperature).softmax(-1))
