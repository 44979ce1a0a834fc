"""Residual codes, and codes matched by their moments, against the official quantizers."""

from collections.abc import Iterator

import torch
from torch import Tensor

from collapsebench import ops
from collapsebench.methods.rq_vae import RQVAE
from collapsebench.methods.wasserstein_vq import WassersteinVQ, wasserstein_distance

from .quantizers import ONE
from .recorded import Compared, Recorded, grads

STATE = {"codebook": "codebook", "ema_counts": "cluster_size", "ema_sums": "embed_ema"}


def state_before(recorded: Recorded, name: str, step: int) -> Tensor:
    """An official buffer of all depths, stacked; of a shared codebook the only one."""
    tables = sum(key.endswith(f"_{step}") for key in recorded.keys(name))
    return torch.stack([recorded[f"{name}{table}_{step}"] for table in range(tables)])


def residual(recorded: Recorded, shared: bool = False) -> RQVAE:
    """RQ-VAE at its recorded start; the official loss is not weighted."""
    settings = RQVAE.Settings(depth=recorded.meta["depth"], beta=1.0, shared=shared)
    quantizer = RQVAE(*recorded["codebook0_0"].shape, settings)
    for ours, official in STATE.items():
        getattr(quantizer, ours).copy_(state_before(recorded, official, 0))
    return quantizer


def rq_vae() -> Iterator[Compared]:
    for size in ("S", "M"):
        recorded = Recorded(f"rqvae_separate_{size}")
        quantizer = residual(recorded)
        for i in range(3):
            yield from _rq_vae_step(quantizer, recorded, i, f"RQ-VAE, {size}, step {i + 1}")
            for ours, official in STATE.items():
                expected, found = state_before(recorded, official, i + 1), getattr(quantizer, ours)
                name = f"RQ-VAE, {size}, update {i + 1}: {ours.removeprefix('ema_')}"
                yield Compared(name, recorded.source, found, expected)
        yield from _rq_vae_eval(quantizer, recorded, f"RQ-VAE, {size}, eval")


def _rq_vae_step(q: RQVAE, recorded: Recorded, i: int, name: str) -> Iterator[Compared]:
    z_e, of = recorded[f"z_e_{i}"].requires_grad_(), recorded.source
    output = q(z_e)
    (by_z_q,) = grads(output.z_q, recorded[f"upstream_{i}"], z_e)
    (by_loss,) = grads(output.loss, ONE, z_e)
    pairs = {
        "z_q": (output.z_q, recorded[f"z_q_{i}"]),
        "tokens": (output.tokens, recorded[f"indices_{i}"]),
        "loss": (output.loss, recorded[f"loss_{i}"]),
        "gradient at z_e": (by_z_q, recorded[f"grad_z_e_from_zq_{i}"]),
        "loss gradient at z_e": (by_loss, recorded[f"grad_z_e_from_loss_{i}"]),
    }
    for quantity, pair in pairs.items():
        yield Compared(f"{name}: {quantity}", of, *pair)
    with ops.replayed_noise([recorded[key] for key in recorded.keys(f"draw_{i}_")]):
        q.update(z_e.detach(), output.tokens)


def _rq_vae_eval(q: RQVAE, recorded: Recorded, name: str) -> Iterator[Compared]:
    output, of, official = q.eval()(recorded["z_e_0"]), recorded.source, recorded
    embedded = q.embed(recorded["eval_indices_on_z0"])
    yield Compared(f"{name}: z_q", of, output.z_q, official["eval_z_q_on_z0"])
    yield Compared(f"{name}: tokens", of, output.tokens, official["eval_indices_on_z0"])
    yield Compared(f"{name}: z_q of those tokens", of, embedded, official["embedded_eval_indices"])


def rq_vae_shared() -> Iterator[Compared]:
    """What the official update between two depths leaves alone: the first depth, evaluation."""
    recorded = Recorded("rqvae_shared_S")
    quantizer, of = residual(recorded, shared=True), recorded.source
    for i in range(3):
        quantizer.codebook.copy_(state_before(recorded, "codebook", i))
        tokens = quantizer(recorded[f"z_e_{i}"]).tokens
        name = f"RQ-VAE shared, step {i + 1}: tokens of the first depth"
        yield Compared(name, of, tokens[..., 0], recorded[f"indices_{i}"][..., 0])
    quantizer.codebook.copy_(state_before(recorded, "codebook", 3))
    yield from _rq_vae_eval(quantizer, recorded, "RQ-VAE shared, eval")


def wasserstein_vq() -> Iterator[Compared]:
    for size in ("S", "M"):
        recorded = Recorded(f"wasserstein_{size}")
        meta, shape = recorded.meta, recorded["codebook_0"].shape
        quantizer = WassersteinVQ(*shape, WassersteinVQ.Settings(queue=meta["queue_size"]))
        quantizer.queue.copy_(recorded["queue_0"])
        groups = quantizer.parameter_groups(meta["adam_lr"] / quantizer.settings.codebook_lr)
        optimizer = torch.optim.Adam(groups, betas=meta["adam_betas"])
        for i in range(3):
            # From the recorded codes: the root of an eigenvalue makes much of the last digit.
            quantizer.codebook.data.copy_(recorded[f"codebook_{i}"])
            name, of = f"Wasserstein VQ, {size}, step {i + 1}", recorded.source
            yield from _wasserstein_step(quantizer, recorded, i, name)
            optimizer.step()
            yield Compared(f"{name}: queue", of, quantizer.queue, recorded[f"queue_{i + 1}"])
            codes = quantizer.codebook
            yield Compared(f"{name}: codebook", of, codes, recorded[f"codebook_{i + 1}"])


def _wasserstein_step(
    q: WassersteinVQ, recorded: Recorded, i: int, name: str
) -> Iterator[Compared]:
    z_e, of = recorded[f"z_e_{i}"].requires_grad_(), recorded.source
    output = q(z_e)
    distance = wasserstein_distance(q.queue, q.codebook)
    yield Compared(f"{name}: z_q", of, output.z_q, recorded[f"z_q_{i}"])
    yield Compared(f"{name}: tokens", of, output.tokens, recorded[f"indices_{i}"])
    yield Compared(f"{name}: loss", of, output.loss, recorded[f"loss_{i}"])
    yield Compared(f"{name}: distance", of, distance, recorded[f"wasserstein_{i}"])
    upstreams = {
        "zq": ("gradient", output.z_q, recorded[f"upstream_{i}"]),
        "loss": ("loss gradient", output.loss, ONE),
        "wasserstein": ("distance gradient", distance, ONE),
    }
    for by, (what, value, upstream) in upstreams.items():
        inputs = {"z_e": z_e, "codebook": q.codebook}
        for place, gradient in zip(inputs, grads(value, upstream, *inputs.values()), strict=True):
            expected = recorded[f"grad_{place}_from_{by}_{i}"]
            yield Compared(f"{name}: {what} at {place}", of, gradient, expected)
    q.codebook.grad = grads(output.loss, ONE, q.codebook)[0]
