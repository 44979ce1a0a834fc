"""Methods that take the nearest code against the official code: forward, gradients, state.

Files by size: M has 16 codes; S has 64, more than the 32 vectors of a batch.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from collapsebench import ops
from collapsebench.methods.cvq_vae import CVQVAE
from collapsebench.methods.diveq import DiVeQ
from collapsebench.methods.nsvq import NSVQ
from collapsebench.methods.rotation_vq import RotationVQ
from collapsebench.methods.sim_vq import SimVQ
from collapsebench.methods.vq_reset import VQReset
from collapsebench.quantizer import Quantized, Quantizer

from .quantizers import ONE, ready
from .recorded import Compared, Recorded, grads

Pairs = dict[str, tuple[Tensor, str]]  # quantity -> ours, official key
STEPS = range(3)


def compared(recorded: Recorded, name: str, pairs: Pairs) -> Iterator[Compared]:
    for quantity, (ours, key) in pairs.items():
        yield Compared(f"{name}: {quantity}", recorded.source, ours, recorded[key])


def by_z_q(recorded: Recorded, output: Quantized, i: int, inputs: dict[str, Tensor]) -> Pairs:
    """Gradients of <z_q, upstream> with respect to the inputs, by their official names."""
    found = grads(output.z_q, recorded[f"upstream_{i}"], *inputs.values())
    return {
        f"gradient at {place}": (gradient, f"grad_{place}_from_zq_{i}")
        for place, gradient in zip(inputs, found, strict=True)
    }


def forward(
    recorded: Recorded, output: Quantized, i: int, inputs: dict[str, Tensor], loss: str = "loss"
) -> Pairs:
    """What step i gave, and the gradients of z_q and of the loss."""
    values = {
        "z_q": (output.z_q, f"z_q_{i}"),
        "tokens": (output.tokens, f"indices_{i}"),
        "loss": (output.loss, f"{loss}_{i}"),
    }
    by_loss = {
        f"loss gradient at {place}": (gradient, f"grad_{place}_from_{loss}_{i}")
        for place, gradient in zip(inputs, grads(output.loss, ONE, *inputs.values()), strict=True)
    }
    return values | by_z_q(recorded, output, i, inputs) | by_loss


def evaluation(output: Quantized) -> Pairs:
    return {"z_q": (output.z_q, "eval_z_q_on_z0"), "tokens": (output.tokens, "eval_indices_on_z0")}


def draws(recorded: Recorded, when: str) -> list[Tensor]:
    """The draws of the start, of step "0", ... or of the replacement, in their order."""
    return [recorded[key] for key in sorted(recorded.keys(f"draw_{when}_"))]


def flat(x: Tensor) -> Tensor:
    """(B, D, H, W) -> (B H W, D), the layout of the official code."""
    return ops.channels_last(x).reshape(-1, x.shape[1])


def vq_reset() -> Iterator[Compared]:
    for size in "MS":
        recorded, name = Recorded(f"jukebox_{size}"), f"VQ-reset, {size}"
        quantizer = ready(VQReset, torch.zeros_like(recorded["codebook_0"]), beta=1.0)
        with ops.replayed_noise(draws(recorded, "init")):
            quantizer.initialize(recorded["z_e_0"])
        yield from compared(recorded, f"{name}, start", _jukebox_state(quantizer, 0))
        for i in STEPS:
            z_e = recorded[f"z_e_{i}"].requires_grad_()
            output = quantizer(z_e)
            pairs = forward(recorded, output, i, {"z_e": z_e}, "commitment")
            with ops.replayed_noise(draws(recorded, str(i))):
                quantizer.update(z_e.detach(), output.tokens)
            pairs |= _jukebox_state(quantizer, i + 1)
            yield from compared(recorded, f"{name}, step {i + 1}", pairs)
        output = quantizer.eval()(recorded["z_e_0"])
        yield from compared(recorded, f"{name}, eval", evaluation(output))


def _jukebox_state(quantizer: Quantizer, i: int) -> Pairs:
    return {
        "codebook": (quantizer.codebook, f"codebook_{i}"),
        "counts": (quantizer.ema_counts, f"k_elem_{i}"),
        "sums": (quantizer.ema_sums, f"k_sum_{i}"),
    }


def vq_reset_encodec() -> Iterator[Compared]:
    """EnCodec's k-means and forward are ours; its moving average has no setting: written out."""
    for size in "MS":
        recorded, name = Recorded(f"encodec_{size}"), f"EnCodec, {size}"
        z, (order,) = flat(recorded["z_e_0"]), draws(recorded, "init")
        codebook = ops.lloyd(z, z[order[: recorded.meta["sizes"]["K"]]], 10)
        yield from compared(recorded, f"{name}, start", {"codebook": (codebook, "embed_0")})
        counts, sums = recorded["cluster_size_0"], recorded["embed_avg_0"]
        for i in STEPS:
            z_e = recorded[f"z_e_{i}"].requires_grad_()
            output = ready(VQReset, codebook, beta=1.0)(z_e)
            pairs = forward(recorded, output, i, {"z_e": z_e})
            of_batch = ops.counts_and_sums(flat(z_e.detach()), output.tokens, len(codebook))
            counts, sums = counts.lerp(of_batch[0], 0.01), sums.lerp(of_batch[1], 0.01)
            codebook = sums / ops.smoothed_counts(counts, 1e-5)[:, None]
            pairs |= {"codebook": (codebook, f"embed_{i + 1}")}
            yield from compared(recorded, f"{name}, step {i + 1}", pairs)


CVQ = ("cos_closest_M", "cos_closest_S", "l2_closest_M", "l2_closest_S")


def cvq_vae() -> Iterator[Compared]:
    """The codes move after each forward; no optimizer."""
    for variant in (*CVQ, "cos_probrandom_S", "l2_random_S"):
        recorded = Recorded(f"cvq_{variant}")
        quantizer = _cvq(recorded)
        for i in STEPS:
            z_e = recorded[f"z_e_{i}"].requires_grad_()
            output, inputs = quantizer(z_e), {"z_e": z_e, "codebook": quantizer.codebook}
            pairs = forward(recorded, output, i, inputs)
            with ops.replayed_noise(draws(recorded, str(i))):
                quantizer.update(z_e.detach(), output.tokens)
            pairs |= {
                "codebook": (quantizer.codebook, f"codebook_{i + 1}"),
                "shares": (quantizer.ema_shares, f"embed_prob_{i + 1}"),
            }
            yield from compared(recorded, f"CVQ-VAE, {variant}, step {i + 1}", pairs)


def cvq_vae_before_adam() -> Iterator[Compared]:
    """The official order: the codes move, then Adam steps with the gradient of the old ones."""
    for variant in CVQ:
        recorded, name = Recorded(f"cvq_{variant}"), f"CVQ-VAE before Adam, {variant}"
        quantizer = _cvq(recorded)
        optimizer = torch.optim.Adam([quantizer.codebook], lr=recorded.meta["adam_lr"])
        for i in STEPS:
            output = quantizer(recorded[f"z_e_{i}"])
            optimizer.zero_grad()
            output.loss.backward()
            quantizer.update(recorded[f"z_e_{i}"], output.tokens)
            optimizer.step()
            pairs = {"codebook": (quantizer.codebook, f"adam_codebook_{i + 1}")}
            yield from compared(recorded, f"{name}, step {i + 1}", pairs)
        output = quantizer.eval()(recorded["z_e_0"])  # no tokens: some codes are equal in float32
        yield from compared(recorded, f"{name}, eval", {"z_q": (output.z_q, "eval_z_q_on_z0")})


def _cvq(recorded: Recorded) -> Quantizer:
    settings = {key: recorded.meta[key] for key in ("beta", "decay", "distance", "anchor")}
    quantizer = ready(CVQVAE, recorded["codebook_0"], **settings)
    if "pool_0" in recorded:
        quantizer.pool.copy_(recorded["pool_0"])
    return quantizer


def rotation_vq() -> Iterator[Compared]:
    for variant in ("euclid_M", "euclid_S", "cosine_M", "cosine_S"):
        recorded, name = Recorded(f"rotation_{variant}"), f"Rotation trick, {variant}"
        quantizer = ready(RotationVQ, recorded["embed_0"], cosine="cosine" in variant)
        quantizer.ema_counts.copy_(recorded["cluster_size_0"])
        quantizer.ema_sums.copy_(recorded["embed_avg_0"])
        for i in STEPS:
            z_e = recorded[f"z_e_{i}"].requires_grad_()
            output = quantizer(z_e)
            pairs = forward(recorded, output, i, {"z_e": z_e})
            quantizer.update(z_e.detach(), output.tokens)
            pairs |= {
                "codebook": (quantizer.codebook, f"embed_{i + 1}"),
                "counts": (quantizer.ema_counts, f"cluster_size_{i + 1}"),
                "sums": (quantizer.ema_sums, f"embed_avg_{i + 1}"),
            }
            yield from compared(recorded, f"{name}, step {i + 1}", pairs)
        output = quantizer.eval()(recorded["z_e_0"])
        pairs = {"z_q": (output.z_q, "eval_z_q_on_z0_rot_off")}
        yield from compared(recorded, f"{name}, eval", pairs)


def sim_vq() -> Iterator[Compared]:
    """Adam on <z_q, upstream> + loss between the steps."""
    for size in "MS":
        recorded, name = Recorded(f"simvq_{size}"), f"SimVQ, {size}"
        quantizer = SimVQ(*recorded["frozen"].shape, SimVQ.Settings())
        layer = {"weight": quantizer.projection.weight, "bias": quantizer.projection.bias}
        quantizer.frozen.copy_(recorded["frozen"])
        for key, parameter in layer.items():
            parameter.data.copy_(recorded[f"{key}_0"])
        optimizer = torch.optim.Adam(layer.values(), lr=recorded.meta["adam_lr"])
        for i in STEPS:
            z_e = recorded[f"z_e_{i}"].requires_grad_()
            output = quantizer(z_e)
            pairs = forward(recorded, output, i, {"z_e": z_e} | layer)
            optimizer.zero_grad()
            ((output.z_q * recorded[f"upstream_{i}"]).sum() + output.loss).backward()
            optimizer.step()
            pairs |= {key: (value, f"{key}_{i + 1}") for key, value in layer.items()}
            yield from compared(recorded, f"{name}, step {i + 1}", pairs)
        output = quantizer.eval()(recorded["z_e_0"])
        yield from compared(recorded, f"{name}, eval", evaluation(output))


def nsvq() -> Iterator[Compared]:
    """The codes do not change but by the replacement after the third step."""
    for size in "MS":
        recorded, name = Recorded(f"nsvq_{size}"), f"NSVQ, {size}"
        quantizer = ready(NSVQ, recorded["codebook_0"], window=len(STEPS))
        for i in STEPS:
            z_e = recorded[f"z_e_{i}"].requires_grad_()
            with ops.replayed_noise(draws(recorded, str(i))):
                output = quantizer(z_e)
            inputs = {"z_e": z_e, "codebook": quantizer.codebook}
            pairs = {"z_q": (output.z_q, f"z_q_{i}")} | by_z_q(recorded, output, i, inputs)
            with ops.replayed_noise(draws(recorded, "replace") if i == STEPS[-1] else []):
                quantizer.update(z_e.detach(), output.tokens)
            if i < STEPS[-1]:
                pairs |= {"batches used in": (quantizer.used.long(), f"used_{i}")}
            yield from compared(recorded, f"{name}, step {i + 1}", pairs)
        pairs = {"codebook replaced": (quantizer.codebook, "codebook_after_replace")}
        yield from compared(recorded, f"{name}, end", pairs)
        output = ready(NSVQ, recorded["codebook_0"]).eval()(recorded["z_e_0"])
        pairs = {"z_q": (flat(output.z_q), "inference_z_q_on_z0")}
        yield from compared(recorded, f"{name}, eval", pairs)


def diveq() -> Iterator[Compared]:
    """The codes do not change but by the replacement at the third step."""
    for size in "MS":
        recorded, name = Recorded(f"diveq_{size}"), f"DiVeQ, {size}"
        quantizer = ready(DiVeQ, recorded["codebook_0"], window=len(STEPS))
        for i in STEPS:
            z_e = recorded[f"z_e_{i}"].requires_grad_()
            noise, *replacing = draws(recorded, str(i))
            with ops.replayed_noise([noise]):
                output = quantizer(z_e)
            pairs = {
                "z_q": (output.z_q, f"z_q_{i}"),
                "tokens": (output.tokens, f"indices_{i}"),
            }
            if not replacing:  # no gradients were recorded at that step
                inputs = {"z_e": z_e, "codebook": quantizer.codebook}
                pairs |= by_z_q(recorded, output, i, inputs)
            with ops.replayed_noise([*_donors(recorded), *replacing] if replacing else []):
                quantizer.update(z_e.detach(), output.tokens)
            pairs |= {"batches used in": (quantizer.used.long(), f"usage_after_{i}")}
            yield from compared(recorded, f"{name}, step {i + 1}", pairs)
        pairs = {"codebook replaced": (quantizer.codebook, "codebook_3_replaced")}
        yield from compared(recorded, f"{name}, end", pairs)


def _donors(recorded: Recorded) -> list[Tensor]:
    # The draw itself was not recorded; the codes it chose are readable from the new codebook.
    before, after = recorded["codebook_2"], recorded["codebook_3_replaced"]
    return [ops.nearest(after[(before != after).any(-1)], before)]
