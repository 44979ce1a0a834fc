"""Trained model -> tokens and what they say about codebook and reconstruction, all in float32."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from collapsebench import metrics, quantities
from collapsebench.datasets import IMAGES, Form
from collapsebench.job.model import DiscreteVAE

BATCH = 128  # items at a time; sums do not depend on it
PROBED = 512  # fixed training items measured along a curve


@dataclass(frozen=True)
class Encoded:
    """A split after encode.

    Attributes:
        tokens: (N, h, w) or (N, h, w, Q), the smallest unsigned integers that hold K - 1.
        values: metric -> value: the form's, and with a posterior its entropies and uncertainty.
        reconstructions: of the first ``form.shown`` items, as items are stored.
    """

    tokens: np.ndarray
    values: dict[str, float]
    reconstructions: np.ndarray


@torch.no_grad()
def encode(
    model: DiscreteVAE,
    items: np.ndarray,
    *,
    device: torch.device,
    form: Form = IMAGES,
    assignment: str = "argmax",
    seed: int = 0,
) -> Encoded:
    """Tokens, reconstruction error and posterior statistics of stored items (N, ...).

    Args:
        form: what the items are.
        assignment: "argmax" (the official code) or "sample" from the posterior (the paper, Alg. 2).
        seed: of those samples.
    """
    model.eval()
    generator = torch.Generator(device).manual_seed(seed)
    tokens: list[np.ndarray] = []
    shown: list[np.ndarray] = []
    posterior, errors, uncertainty = Posterior(), form.errors(), 0.0
    for start in range(0, len(items), BATCH):
        x = to_batch(items[start : start + BATCH], form, device)
        z_e = model.encode(x)
        quantized = model.quantizer(z_e)
        probabilities = model.quantizer.posterior(z_e)
        chosen, z_q = quantized.tokens, quantized.z_q
        if assignment == "sample" and probabilities is not None:
            chosen = draw(probabilities, generator)
            z_q = model.quantizer.embed(chosen)
        x_hat = model.decode(z_q)
        errors.add(x_hat, x)
        if "uncertainty" in quantized.terms:
            uncertainty += float(quantized.terms["uncertainty"]) * len(x)
        if probabilities is not None:
            posterior.add(probabilities)
        if (left := form.shown - start) > 0:
            shown.append(form.stored(x_hat[:left]))
        tokens.append(chosen.cpu().numpy().astype(smallest_unsigned(model.quantizer.codebook_size)))
    values = errors.values() | posterior.values()
    if uncertainty:
        values["uncertainty"] = uncertainty / len(items)
    return Encoded(np.concatenate(tokens), values, np.concatenate(shown))


class Posterior:
    """Streaming entropy statistics of token posteriors, in nats.

    ``entropy_mean`` and ``entropy_sd`` are over items and positions (the paper, Fig. 2a);
    ``mutual_information`` is the entropy of the mean posterior minus the mean entropy.
    """

    def __init__(self) -> None:
        self.count = 0
        self.sum = self.sum_of_squares = 0.0
        self.mean_posterior: Tensor | None = None

    def add(self, probabilities: Tensor) -> None:
        """Takes probabilities (B, K, h, w)."""
        h = posterior_entropy(probabilities).double()
        self.count += h.numel()
        self.sum += float(h.sum())
        self.sum_of_squares += float(h.square().sum())
        total = probabilities.sum(dim=(0, 2, 3), dtype=torch.float64)
        self.mean_posterior = total if self.mean_posterior is None else self.mean_posterior + total

    def values(self) -> dict[str, float]:
        """The three metrics; none for a deterministic method."""
        if self.mean_posterior is None:
            return {}
        mean = self.sum / self.count
        variance = max(0.0, self.sum_of_squares / self.count - mean**2)
        marginal = metrics.entropy(self.mean_posterior.cpu().numpy())
        return {
            "entropy_mean": mean,
            "entropy_sd": math.sqrt(variance),
            "mutual_information": max(0.0, marginal - mean),
        }


def posterior_entropy(probabilities: Tensor) -> Tensor:
    """Probabilities (B, K, h, w) -> entropy in nats (B, h, w)."""
    return torch.special.entr(probabilities).sum(dim=1)


def draw(probabilities: Tensor, generator: torch.Generator) -> Tensor:
    """One token per position from probabilities (B, K, h, w) -> (B, h, w) int64."""
    b, k, h, w = probabilities.shape
    flat = probabilities.permute(0, 2, 3, 1).reshape(-1, k)
    return torch.multinomial(flat, 1, generator=generator).view(b, h, w)


class Probe:
    """What a training curve says about the codebook, on the first of some items (N, ...).

    Of several codebooks the worst counts. Besides the values it keeps, for the first item, one
    entropy map (h, w) per call: Fig. 2b.

    Attributes:
        standing: ``relative_perplexity`` of the last call, and ``collapsed``, 1 or 0, as
            ``metrics.verdict`` has it of so few items; empty without a codebook.
    """

    def __init__(self, items: np.ndarray, device: torch.device, form: Form = IMAGES):
        self.items = items[:PROBED]
        self.device, self.form = device, form
        self.maps: list[np.ndarray] = []
        self.standing: dict[str, float] = {}

    @torch.no_grad()
    def __call__(self, model: DiscreteVAE) -> dict[str, float]:
        """Curve values: perplexity, usage, dead codes, posterior entropy, norms and distances."""
        quantizer = model.quantizer
        size, codebooks = quantizer.codebook_size, max(quantizer.codebooks, 1)
        counts = torch.zeros(codebooks, size, dtype=torch.int64, device=self.device)
        posterior, norm, distance, uncertainty = Posterior(), 0.0, 0.0, 0.0
        for start in range(0, len(self.items), BATCH):
            x = to_batch(self.items[start : start + BATCH], self.form, self.device)
            z_e = model.encode(x)
            quantized = quantizer(z_e)
            for mine, tokens in zip(
                counts, quantized.tokens.reshape(-1, codebooks).t(), strict=True
            ):
                mine += tokens.bincount(minlength=size)
            norm += float(z_e.norm(dim=1).mean()) * len(x)
            if z_e.shape == quantized.z_q.shape:
                distance += float((z_e - quantized.z_q).norm(dim=1).mean()) * len(x)
            uncertainty += float(quantized.terms.get("uncertainty", 0.0)) * len(x)
            probabilities = quantizer.posterior(z_e)
            if probabilities is not None:
                posterior.add(probabilities)
                if start == 0:
                    self.maps.append(posterior_entropy(probabilities[:1])[0].cpu().numpy())
        counted = counts.cpu().numpy()
        values = use_of_worst(counted) | {"z_e_norm": norm / len(self.items)}
        if quantizer.codebooks:
            collapsed = any(metrics.verdict(each) == "collapsed" for each in counted)
            relative = values["perplexity"] / size
            self.standing = {"relative_perplexity": relative, "collapsed": float(collapsed)}
        values |= {k: v for k, v in posterior.values().items() if k != "mutual_information"}
        if distance:
            values["code_distance"] = distance / len(self.items)
        if uncertainty:
            values["uncertainty"] = uncertainty / len(self.items)
        codes = quantizer.codes()
        if codes is not None:
            values["code_norm"] = float(codes.norm(dim=-1).mean())
        return values


def use_of_worst(counts: np.ndarray) -> dict[str, float]:
    """Perplexity, usage and dead codes of counts (Q, K), each of its worst codebook."""
    measured = {
        "perplexity": [metrics.perplexity(each) for each in counts],
        "usage": [metrics.usage(each) for each in counts],
        "dead_codes": [float(metrics.dead_codes(each)) for each in counts],
    }
    return {name: values[quantities.worst(name, values)] for name, values in measured.items()}


@torch.no_grad()
def decode(model: DiscreteVAE, tokens: np.ndarray, *, device: torch.device) -> np.ndarray:
    """Tokens (N, h, w) or (N, h, w, Q) -> images (N, H, W, 3) uint8."""
    model.eval()
    parts = []
    for start in range(0, len(tokens), BATCH):
        batch = torch.from_numpy(tokens[start : start + BATCH].astype(np.int64)).to(device)
        parts.append(IMAGES.stored(model.images(batch)))
    return np.concatenate(parts)


def to_batch(items: np.ndarray, form: Form, device: torch.device) -> Tensor:
    """Stored items (B, ...) -> float32 (B, C, H, W), channels last, as models see them."""
    return form.batch(torch.from_numpy(np.ascontiguousarray(items)).to(device))


def smallest_unsigned(codebook_size: int) -> np.dtype:
    """The smallest unsigned integer type that holds every token."""
    return np.min_scalar_type(max(codebook_size - 1, 0))
