"""IBQ: the gradient goes through a softmax of z_e . c_k to every code, not only to the chosen one.

Paper: Shi, Luo, Ge, Yang, Shan, Wang. Scalable image tokenization with index backpropagation
    quantization. ICCV 2025. https://arxiv.org/abs/2412.02692
Reference code: TencentARC/SEED-Voken, src/IBQ/modules/vqvae/quantize.py,
    IndexPropagationQuantize, b9a17ea.

    l_k = z_e . c_k,  p = softmax(l),  token = argmax_k l_k  (not the nearest code)
    z_q = sum_k o_k c_k,  o = onehot(token) + p - sg[p]:  value c_token, gradient to all codes
    quantization = ||z_q - z_e||^2 + ||sg[c_token] - z_e||^2 + beta ||c_token - sg[z_e]||^2
    loss = quant quantization + entropy (mean H(p_T) - H(mean p_T)),  p_T = softmax(l / T)

Squared norms are means over elements. z_e has a gradient from z_q only through p: there is no
other straight-through. Long codes win more often, for nothing is normalised.

Differs from the paper:
    1. The paper's beta weighs the second term, the commitment; the code's the third, the codebook
       side (issue 60, closed without a fix): ``side``.
    2. The entropy term, off in the class, is on in every configuration; the claims rest on it.
    3. Its weight 0.05 stands beside L1 + LPIPS + GAN, far above the reconstruction error here:
       sweep ``entropy``. At T = 0.01 it has a gradient only where two logits nearly tie.
    4. The official z_q is onehot - p + p times the codebook, exact only to rounding; here the
       code itself.
    5. The paper's D is 256; users report collapse there and none at 32 (issue 59).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from collapsebench import ops
from collapsebench.quantizer import Quantized, Quantizer
from collapsebench.settings import NonNegative, PositiveFloat


class IBQ(Quantizer):
    label = "IBQ"
    network = "vqvae"
    recordable = True
    compiles = True

    @dataclass(frozen=True)
    class Settings:
        beta: NonNegative = 0.25  # reference code
        side: Literal["codebook", "commitment"] = "codebook"  # beta's; reference code
        entropy: NonNegative = 0.05  # reference code, imagenet_ibqgan_1024.yaml
        temperature: PositiveFloat = 0.01  # reference code, of the entropy term
        quant: NonNegative = 1.0  # reference code, imagenet_ibqgan_1024.yaml

    def __init__(self, codebook_size: int, code_dim: int, settings: Settings):
        super().__init__(codebook_size, code_dim, settings)
        self.codebook = nn.Parameter(ops.random_codebook("normal", codebook_size, code_dim))

    def forward(self, z_e: Tensor) -> Quantized:
        logits = self._logits(z_e)
        tokens = logits.argmax(-1)
        code = self.embed(tokens)
        # The codes are constant in the mixture: their own gradient comes from the look-up.
        mixture = ops.channels_first(logits.softmax(-1) @ self.codebook.detach())
        z_q = code + (mixture - mixture.detach())

        rows, mean = ops.entropies(logits / self.settings.temperature)
        quantization = self._quantization(z_e, z_q, code)
        loss = self.settings.quant * quantization + self.settings.entropy * (rows - mean)
        terms = {"quantization": quantization, "row_entropy": rows, "mean_entropy": mean}
        return Quantized(z_q, tokens, loss, {name: term.detach() for name, term in terms.items()})

    def _logits(self, z_e: Tensor) -> Tensor:
        return ops.channels_last(z_e) @ self.codebook.t()  # (B, H, W, K)

    def _quantization(self, z_e: Tensor, z_q: Tensor, code: Tensor) -> Tensor:
        commitment = functional.mse_loss(z_e, code.detach())
        codebook = functional.mse_loss(code, z_e.detach())
        if self.settings.side == "codebook":
            codebook = self.settings.beta * codebook
        else:
            commitment = self.settings.beta * commitment
        return functional.mse_loss(z_q, z_e) + commitment + codebook

    def embed(self, tokens: Tensor) -> Tensor:
        return ops.lookup(self.codebook, tokens)

    def posterior(self, z_e: Tensor) -> Tensor:
        return ops.channels_first(self._logits(z_e).softmax(-1))
