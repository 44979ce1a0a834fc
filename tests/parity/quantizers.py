"""Each method against the official quantizer: forward, loss, gradients, state after updates."""

from collections.abc import Iterator

import torch
from torch import Tensor

from collapsebench import ops
from collapsebench.methods.dvae import DVAE
from collapsebench.methods.edvae import EdVAE
from collapsebench.methods.gs_vq_vae import GSVQVAE
from collapsebench.methods.sq_vae import SQVAE
from collapsebench.methods.vq_ste_pp import VQSTEPP
from collapsebench.methods.vq_vae import VQVAE
from collapsebench.methods.vq_vae_ema import VQVAEEMA
from collapsebench.quantizer import Quantizer

from .recorded import Compared, Recorded, grads

ONE = torch.tensor(1.0)


def ready(method: type[Quantizer], codebook: Tensor, **settings: object) -> Quantizer:
    """The method with the recorded codebook."""
    quantizer = method(*codebook.shape, method.Settings(**settings))
    quantizer.codebook.data.copy_(codebook)
    return quantizer


def annealed(method: type[Quantizer], recorded: Recorded, **settings: object) -> Quantizer:
    """The same, at the recorded temperature and KL weight."""
    quantizer = ready(method, recorded["codebook"], **settings)
    quantizer.temperature.copy_(recorded["tau"])
    if "kl_weight" in recorded:
        quantizer.beta.copy_(recorded["kl_weight"])
    return quantizer


def logits_method(name: str, method: type[Quantizer], noise: str) -> Iterator[Compared]:
    """EdVAE and dVAE: logits in, noisy mixture out."""
    label, train, still = method.label, Recorded(f"{name}_S_train"), Recorded(f"{name}_S_eval")
    logits, quantizer = train["logits"].requires_grad_(), annealed(method, train)
    draw = train[noise] if noise.endswith("bhwk") else ops.channels_last(train[noise])
    with ops.replayed_noise([draw]):
        output = quantizer(logits)
    by_logits, by_codebook = grads(output.z_q, train["upstream"], logits, quantizer.codebook)
    of = train.source
    yield Compared(f"{label}, train: z_q", of, output.z_q, train["z_q"])
    yield Compared(f"{label}, train: tokens", of, output.tokens, train["indices"])
    yield Compared(f"{label}, train: loss", of, output.loss, train["kl_loss"])
    yield Compared(
        f"{label}, train: gradient at logits", of, by_logits, train["grad_logits_from_zq"]
    )
    expected = train["grad_codebook_from_zq"]
    yield Compared(f"{label}, train: gradient at codebook", of, by_codebook, expected)

    quantizer = annealed(method, still).eval()
    output = quantizer(still["logits"])
    (by_codebook,) = grads(output.z_q, still["upstream"], quantizer.codebook)
    yield Compared(f"{label}, eval: z_q", of, output.z_q, still["z_q"])
    yield Compared(f"{label}, eval: tokens", of, output.tokens, still["indices"])
    yield Compared(f"{label}, eval: loss", of, output.loss, still["kl_loss"])
    expected = still["grad_codebook_from_zq"]
    yield Compared(f"{label}, eval: gradient at codebook", of, by_codebook, expected)


def kl_gradient(name: str, method: type[Quantizer], **settings: object) -> Iterator[Compared]:
    """Loss and its gradient at the logits."""
    recorded, train = Recorded(f"{name}_S_kl"), Recorded(f"{name}_S_train")
    quantizer, logits = annealed(method, train, **settings), recorded["logits"].requires_grad_()
    loss = quantizer(logits).loss
    (gradient,) = grads(loss, ONE, logits)
    label = " ".join([method.label, *(f"{key}={value}" for key, value in settings.items())])
    yield Compared(f"{label}, KL: loss", recorded.source, loss, recorded["kl_loss"])
    expected = recorded["grad_logits_from_kl"]
    yield Compared(f"{label}, KL: gradient at logits", recorded.source, gradient, expected)


def edvae() -> Iterator[Compared]:
    yield from logits_method("edvae", EdVAE, "uniform_raw_bhwk")
    for kind in ("official", "float64", "stable"):
        yield from kl_gradient("edvae", EdVAE, kl=kind)


def dvae() -> Iterator[Compared]:
    yield from logits_method("dvae", DVAE, "exponential_raw_bkhw")
    yield from kl_gradient("dvae", DVAE)


def gs_vq_vae() -> Iterator[Compared]:
    for mode in ("train", "eval"):
        recorded = Recorded(f"gsvq_S_{mode}")
        z_bhwc = recorded["z_e_bhwc"].requires_grad_()
        quantizer = annealed(GSVQVAE, recorded).train(mode == "train")
        draws = [recorded["exponential_raw_nk"].view(2, 4, 4, 64)] if mode == "train" else []
        with ops.replayed_noise(draws):
            output = quantizer(ops.channels_first(z_bhwc))
        flat = ops.channels_last(output.z_q).reshape(2, -1)
        by_kl = grads(output.loss, ONE, z_bhwc, quantizer.codebook)
        by_z_q = grads(flat, recorded["upstream_flat"], z_bhwc, quantizer.codebook)
        pairs = {
            "z_q": (flat, recorded["z_q_flat"]),
            "tokens": (output.tokens, recorded["indices"]),
            "loss": (output.loss, recorded["kl_loss"]),
            "KL gradient at z_e": (by_kl[0], recorded["grad_z_e_from_kl"]),
            "KL gradient at codebook": (by_kl[1], recorded["grad_codebook_from_kl"]),
            "gradient at codebook": (by_z_q[1], recorded["grad_codebook_from_zq"]),
        }
        if mode == "train":
            pairs["gradient at z_e"] = (by_z_q[0], recorded["grad_z_e_from_zq"])
        for quantity, pair in pairs.items():
            yield Compared(f"GS-VQ-VAE, {mode}: {quantity}", recorded.source, *pair)


def sq_vae() -> Iterator[Compared]:
    for mode in ("train", "eval_det"):
        recorded = Recorded(f"sqvae_S_{mode}")
        z_e, quantizer = recorded["z_e"].requires_grad_(), annealed(SQVAE, recorded)
        quantizer.log_variance.data.copy_(recorded["log_param_q"])
        quantizer.train(mode == "train")
        draws = [recorded["uniform_raw_nk"].view(2, 4, 4, 64)] if mode == "train" else []
        with ops.replayed_noise(draws):
            output = quantizer(z_e)
        inputs = (z_e, quantizer.codebook, quantizer.log_variance)
        by_loss = grads(output.loss, ONE, *inputs)
        by_z_q = grads(output.z_q, recorded["upstream"], *inputs)
        pairs = {
            "z_q": (output.z_q, recorded["z_q"]),
            "loss": (output.loss, recorded["latent_loss"]),
            "loss gradient at z_e": (by_loss[0], recorded["grad_z_e_from_loss"]),
            "loss gradient at codebook": (by_loss[1], recorded["grad_codebook_from_loss"]),
            "loss gradient at log-variance": (by_loss[2], recorded["grad_logparam_from_loss"]),
            "gradient at codebook": (by_z_q[1], recorded["grad_codebook_from_zq"]),
        }
        if mode == "train":
            pairs["gradient at z_e"] = (by_z_q[0], recorded["grad_z_e_from_zq"])
        for quantity, pair in pairs.items():
            yield Compared(f"SQ-VAE, {mode}: {quantity}", recorded.source, *pair)
    yield from _sq_vae_sampled()


def _sq_vae_sampled() -> Iterator[Compared]:
    # The draw itself was not recorded; the codes it chose are readable from z_q.
    recorded = Recorded("sqvae_S_eval_stoch")
    z_e, z_q, quantizer = recorded["z_e"], recorded["z_q"], annealed(SQVAE, recorded).eval()
    quantizer.log_variance.data.copy_(recorded["log_param_q"])
    tokens = ops.nearest(ops.channels_last(z_q), recorded["codebook"])
    terms = quantizer(z_e).terms
    loss = terms["negative_entropy"] + terms["weight"] * (z_e - z_q).square().sum() / len(z_e)
    name = "SQ-VAE, eval_stoch"
    yield Compared(
        f"{name}: z_q of the sampled tokens", recorded.source, quantizer.embed(tokens), z_q
    )
    yield Compared(f"{name}: loss", recorded.source, loss, recorded["latent_loss"])


def vq_vae() -> Iterator[Compared]:
    recorded = Recorded("vqplain_zalando_S")
    z_e, quantizer = recorded["z_e"].requires_grad_(), ready(VQVAE, recorded["codebook"])
    output = quantizer(z_e)
    by_loss = grads(output.loss, ONE, z_e, quantizer.codebook)
    (by_z_q,) = grads(output.z_q, recorded["upstream"], z_e)
    pairs = {
        "z_q": (output.z_q, recorded["z_q"]),
        "tokens": (output.tokens, recorded["indices"]),
        "loss": (output.loss, recorded["loss"]),
        "gradient at z_e": (by_z_q, recorded["grad_z_e_from_zq"]),
        "loss gradient at z_e": (by_loss[0], recorded["grad_z_e_from_loss"]),
        "loss gradient at codebook": (by_loss[1], recorded["grad_codebook_from_loss"]),
    }
    for quantity, pair in pairs.items():
        yield Compared(f"VQ-VAE: {quantity}", recorded.source, *pair)


def vq_vae_ema() -> Iterator[Compared]:
    for flavour in ("sonnet", "zalando"):
        recorded = Recorded(f"vqema_{flavour}_S")
        quantizer = ready(VQVAEEMA, recorded["codebook0"], ema=flavour)
        if flavour == "zalando":
            quantizer.ema_sums.copy_(recorded["ema_w0"])
        counts, sums = ("hidden_n", "hidden_w") if flavour == "sonnet" else ("ema_n", "ema_w")
        for i in range(3):
            yield from _ema_forward(quantizer, recorded, flavour, i)
            name, after = f"VQ-VAE-EMA {flavour}, update {i + 1}", i + 1
            of = recorded.source
            yield Compared(
                f"{name}: counts", of, quantizer.ema_counts, recorded[f"{counts}_{after}"]
            )
            yield Compared(f"{name}: sums", of, quantizer.ema_sums, recorded[f"{sums}_{after}"])
            expected = recorded[f"codebook_{after}"]
            yield Compared(f"{name}: codebook", of, quantizer.codebook, expected)
        output = quantizer.eval()(recorded["z_e_0"])
        name = f"VQ-VAE-EMA {flavour}, eval"
        yield Compared(f"{name}: z_q", of, output.z_q, recorded["eval_z_q_on_z0"])
        yield Compared(f"{name}: tokens", of, output.tokens, recorded["eval_indices_on_z0"])
        yield Compared(f"{name}: loss", of, output.loss, recorded["eval_loss_on_z0"])


def _ema_forward(q: Quantizer, recorded: Recorded, flavour: str, i: int) -> Iterator[Compared]:
    z_e = recorded[f"z_e_{i}"].requires_grad_()
    output = q(z_e)
    name, of = f"VQ-VAE-EMA {flavour}, step {i + 1}", recorded.source
    (by_z_q,) = grads(output.z_q, recorded[f"upstream_{i}"], z_e)
    (by_loss,) = grads(output.loss, ONE, z_e)
    yield Compared(f"{name}: z_q", of, output.z_q, recorded[f"z_q_{i}"])
    yield Compared(f"{name}: tokens", of, output.tokens, recorded[f"indices_{i}"])
    yield Compared(f"{name}: loss", of, output.loss, recorded[f"loss_{i}"])
    yield Compared(f"{name}: gradient at z_e", of, by_z_q, recorded[f"grad_z_e_from_zq_{i}"])
    yield Compared(
        f"{name}: loss gradient at z_e", of, by_loss, recorded[f"grad_z_e_from_loss_{i}"]
    )
    q.update(z_e.detach(), output.tokens)


def vq_vae_ema_rosinality() -> Iterator[Compared]:
    """The third popular flavour, written out: it has no setting of its own."""
    recorded, decay, epsilon = Recorded("vqema_rosinality_S"), 0.99, 1e-5
    codebook, n, sums = recorded["codebook0"], recorded["ema_n0"], recorded["ema_w0"]
    for i in range(3):
        output = ready(VQVAEEMA, codebook, beta=1.0)(recorded[f"z_e_{i}"])
        z = ops.channels_last(recorded[f"z_e_{i}"]).reshape(-1, 8)
        chosen = torch.nn.functional.one_hot(output.tokens.flatten(), 64).float()
        n = decay * n + (1 - decay) * chosen.sum(0)
        sums = decay * sums + (1 - decay) * chosen.t() @ z
        codebook = sums / ((n + epsilon) / (n.sum() + 64 * epsilon) * n.sum())[:, None]
        name, of = f"VQ-VAE-EMA rosinality, step {i + 1}", recorded.source
        yield Compared(f"{name}: tokens", of, output.tokens, recorded[f"indices_{i}"])
        yield Compared(f"{name}: commitment", of, output.loss, recorded[f"diff_{i}"])
        yield Compared(f"{name}: codebook", of, codebook, recorded[f"codebook_{i + 1}"])


STE = {
    "base": {"codebook_share": 0.95, "nu": 0.0, "affine_lr": 0.0},
    "sync": {"codebook_share": 0.9, "nu": 0.2, "affine_lr": 0.0},
    "affine_sync": {"codebook_share": 0.98, "nu": 0.2, "affine_lr": 10.0},
    "affine_groups": {"codebook_share": 0.98, "nu": 2.0, "affine_lr": 2.0, "groups": 8},
}


def vq_ste_pp() -> Iterator[Compared]:
    for variant, settings in STE.items():
        recorded = Recorded(f"vqste_{variant}_S")
        for mode in ("train", "eval"):
            yield from _vq_ste_pp(recorded, f"VQ-STE++ {variant}, {mode}", f"{mode}.", settings)


def _vq_ste_pp(
    recorded: Recorded, name: str, at: str, settings: dict[str, float]
) -> Iterator[Compared]:
    quantizer = ready(VQSTEPP, recorded["param.codebook.weight"], **settings)
    if "param.affine_transform.scale" in recorded:
        quantizer.scale.data.copy_(recorded["param.affine_transform.scale"])
        quantizer.bias.data.copy_(recorded["param.affine_transform.bias"])
    z_e, of = recorded["z_e"].requires_grad_(), recorded.source
    output = quantizer.train(at == "train.")(z_e)
    yield Compared(f"{name}: output", of, output.z_q, recorded[f"{at}z_q_out"])
    yield Compared(f"{name}: tokens", of, output.tokens, recorded[f"{at}indices"])
    yield Compared(f"{name}: loss", of, output.loss, recorded[f"{at}loss"])
    yield Compared(f"{name}: codes", of, quantizer.codes(), recorded[f"{at}effective_codebook"])

    inputs = {
        "z_e": z_e,
        "codebook.weight": quantizer.codebook,
        "affine_transform.scale": quantizer.scale,
        "affine_transform.bias": quantizer.bias,
    }
    upstreams = {"zq": (output.z_q, recorded["upstream"]), "loss": (output.loss, ONE)}
    for by, (value, upstream) in upstreams.items():
        for key, gradient in zip(inputs, grads(value, upstream, *inputs.values()), strict=True):
            official = f"{at}grad_{key}_from_{by}"
            # A gradient that the official code does not give must be zero here.
            expected = recorded[official] if official in recorded else torch.zeros_like(gradient)
            what = "loss gradient" if by == "loss" else "gradient"
            place = key.removesuffix(".weight").removeprefix("affine_transform.")
            yield Compared(f"{name}: {what} at {place}", of, gradient, expected)


def vq_ste_pp_alternation() -> Iterator[Compared]:
    recorded = Recorded("vqste_inplace_S")
    settings = {"codebook_share": 1.0, "nu": 0.0, "affine_lr": 0.0, "alternate": True}
    quantizer, of = ready(VQSTEPP, recorded["codebook_0"], **settings), recorded.source
    for i in range(3):
        z_e = recorded[f"z_e_{i}"]
        output = quantizer(z_e)
        quantizer.update(z_e, output.tokens)
        name = f"VQ-STE++ alternation, step {i + 1}"
        moved, codebook = quantizer.embed(output.tokens), quantizer.codebook
        yield Compared(f"{name}: tokens", of, output.tokens, recorded[f"indices_{i}"])
        yield Compared(f"{name}: codebook", of, codebook, recorded[f"codebook_{i + 1}"])
        yield Compared(f"{name}: moved codes", of, moved, recorded[f"z_q_out_{i}"])


def vq_ste_pp_replacement() -> Iterator[Compared]:
    recorded = Recorded("vqste_replace_S")
    quantizer = ready(VQSTEPP, recorded["codebook_0"], affine_lr=0.0, replace=3)
    for i in range(5):
        if f"draw_randperm_{i}" in recorded:
            order, drawn = recorded[f"draw_randperm_{i}"], recorded[f"draw_randn_like_{i}"]
        else:
            order, drawn = torch.arange(32), torch.empty(0, 8)
        # Ours draws noise for every code and uses the first rows, so that shapes never change.
        padded = torch.cat([drawn, torch.full((64 - len(drawn), 8), torch.nan)])
        with ops.replayed_noise([order, padded]):
            quantizer.update(recorded[f"z_e_{i}"], recorded[f"indices_{i}"])
        name, of = f"VQ-STE++ replacement, step {i + 1}", recorded.source
        lifetime, codebook = quantizer.lifetime.float(), quantizer.codebook
        yield Compared(f"{name}: lifetimes", of, lifetime, recorded[f"counts_{i + 1}"])
        yield Compared(f"{name}: codebook", of, codebook, recorded[f"codebook_{i + 1}"])
