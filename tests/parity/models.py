"""Networks with recorded weights, whole models, three steps of training, schedules."""

import re
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from collapsebench import ops, schedules
from collapsebench.methods.edvae import EdVAE
from collapsebench.methods.sq_vae import SQVAE
from collapsebench.networks import dalle, sqvae, vqvae

from .recorded import Compared, Recorded, grads

# group and block of the official names -> place in our nn.Sequential
DALLE_ENCODER = {"1.1": 2, "1.2": 3, "2.1": 5, "2.2": 6, "last.1": 8, "last.2": 9}
DALLE_DECODER = {"1.1": 0, "1.2": 1, "2.1": 3, "2.2": 4, "last.1": 6, "last.2": 7}


def dalle_name(official: str) -> str:
    """An official state-dict name, less its prefix, as ours."""
    fixed = {"encoder.conv_in": "features.1", "proj": "head", "decoder.output.conv": "layers.9"}
    stem, _, kind = official.rpartition(".")
    if stem in fixed:
        return f"{fixed[stem]}.{kind}"
    match = re.fullmatch(r"(\w+)\.group_(\w+)\.block_(\d)\.(?:id_path|res_path\.conv_(\d))", stem)
    assert match, official
    part, group, block, conv = match.groups()
    places, folder = (DALLE_ENCODER, "features") if part == "encoder" else (DALLE_DECODER, "layers")
    inner = f"path.{2 * int(conv) - 1}" if conv else "skip"
    return f"{folder}.{places[f'{group}.{block}']}.{inner}.{kind}"


def vqvae_name(official: str) -> str:
    """The same for the port of DeepMind's networks; ``pre`` is its 1x1 convolution."""
    fixed = {
        "enc._conv_1": "features.1",
        "enc._conv_2": "features.3",
        "enc._conv_3": "features.5",
        "pre": "head",
        "dec._conv_1": "layers.0",
        "dec._conv_trans_1": "layers.4",
        "dec._conv_trans_2": "layers.6",
    }
    stem, _, kind = official.rpartition(".")
    if stem in fixed:
        return f"{fixed[stem]}.{kind}"
    match = re.fullmatch(r"(enc|dec)\._residual_stack\._layers\.(\d)\._block\.(1|3)", stem)
    assert match, official
    part, layer, conv = match.groups()
    place = f"features.{7 + int(layer)}" if part == "enc" else f"layers.{1 + int(layer)}"
    return f"{place}.{'conv' if conv == '1' else 'out'}.{kind}"


def sqvae_name(official: str) -> str:
    """The same for sony/sqvae's 32-pixel networks with two residual blocks."""
    official = official.replace("res_m.block", "res.1.block").replace(".block.", ".path.")
    part, folder, rest = official.split(".", 2)
    if part == "encoder":
        return f"features.{rest}" if folder == "conv" else f"features.{_shifted(rest, 9)}"
    return f"layers.{_shifted(rest, 3 if folder == 'convt' else 1)}"


def _shifted(rest: str, by: int) -> str:
    number, tail = rest.split(".", 1)
    return f"{int(number) + by}.{tail}"


def load(module: nn.Module, weights: dict[str, Tensor]) -> nn.Module:
    """Strictly: every weight finds its place, and no place stays empty."""
    module.load_state_dict(weights, strict=True)
    return module


def dalle_networks() -> Iterator[Compared]:
    recorded, of = Recorded("edvae_nets_k3_scaled"), Recorded("edvae_nets_k3_scaled").source
    settings = dalle.Settings(width=16)
    parts = {
        "enc": (dalle.Encoder(32, 64, settings), recorded["x"] + 0.5, 0.0, "logits", "grad_x"),
        "dec": (dalle.Decoder(32, 8, settings), recorded["z_in"], 0.5, "x_rec", "grad_z_in"),
    }
    for part, (module, given, shift, result, gradient) in parts.items():
        names = {key: dalle_name(key[4:]) for key in recorded.keys(f"{part}.")}
        load(module, {ours: recorded[key] for key, ours in names.items()})
        given = given.requires_grad_()
        output = module(given) - shift
        parameters = dict(module.named_parameters())
        by_input, *by_weights = grads(
            output, recorded[f"upstream_{result}"], given, *(parameters[n] for n in names.values())
        )
        norms = torch.stack([g.norm() for g in by_weights])
        official = torch.stack([recorded[f"gradnorm.{key}"] for key in names])
        label = "dalle encoder" if part == "enc" else "dalle decoder"
        yield Compared(f"{label}: output", of, output, recorded[result])
        yield Compared(f"{label}: gradient at its input", of, by_input, recorded[gradient])
        yield Compared(f"{label}: gradient norm of each weight", of, norms, official)


def vqvae_networks() -> Iterator[Compared]:
    recorded = Recorded("deepmind_nets")
    settings = vqvae.Settings(width=16, residual_width=8, residual="zalando")
    keys = recorded.keys("enc.") + recorded.keys("pre.")
    encoder = load(vqvae.Encoder(32, 8, settings), {vqvae_name(k): recorded[k] for k in keys})
    keys = recorded.keys("dec.")
    decoder = load(vqvae.Decoder(32, 8, settings), {vqvae_name(k): recorded[k] for k in keys})
    z_e, x_rec = encoder(recorded["x"] + 0.5), decoder(recorded["z_in"]) - 0.5
    yield Compared("vqvae encoder (zalando): output", recorded.source, z_e, recorded["z_e"])
    yield Compared("vqvae decoder (zalando): output", recorded.source, x_rec, recorded["x_rec"])


def sq_vae_model() -> Iterator[Compared]:
    for mode in ("train", "eval"):
        recorded = Recorded(f"sqvae_model_cifar10_{mode}")
        encoder, decoder = (_sqvae_part(recorded, part, mode) for part in ("encoder", "decoder"))
        quantizer = SQVAE(32, 16, SQVAE.Settings()).train(mode == "train")
        quantizer.codebook.data.copy_(recorded["state.codebook"])
        quantizer.log_variance.data.copy_(recorded["state.log_param_q_scalar"])
        quantizer.temperature.copy_(recorded["tau"])

        x = recorded["x"]
        draws = [recorded["uniform_raw_nk"].view(2, 8, 8, 32)] if mode == "train" else []
        z_e = encoder(x)
        with ops.replayed_noise(draws):
            output = quantizer(z_e)
        x_rec = decoder(output.z_q)
        loss = quantizer.reconstruction_loss(x_rec, x) + output.loss
        weights = {**_named(encoder), **_named(decoder)}
        by_codebook, *by_weights = grads(
            loss, torch.tensor(1.0), quantizer.codebook, *weights.values()
        )
        yield from _sq_vae_pairs(recorded, mode, z_e, output.z_q, x_rec, loss, by_codebook)
        yield Compared(
            f"SQ-VAE model, {mode}: gradient norms of the weights",
            recorded.source,
            torch.stack([g.norm() for g in by_weights]),
            torch.stack([_official_norm(recorded, name) for name in weights]),
        )


def _sq_vae_pairs(
    recorded: Recorded, mode: str, z_e: Tensor, z_q: Tensor, x_rec: Tensor, loss: Tensor, by: Tensor
) -> Iterator[Compared]:
    squared = (x_rec - recorded["x"]).square().sum() / len(x_rec)
    pairs = {
        "z_e": (z_e, recorded["z_e"]),
        "z_q": (z_q, recorded["z_q"]),
        "x_hat": (x_rec, recorded["x_rec"]),
        "squared error": (squared, recorded["mse_sum_over_batch"]),
        "loss": (loss, recorded["loss_all"]),
        "gradient at codebook": (by, recorded["grad.codebook"]),
    }
    for quantity, pair in pairs.items():
        yield Compared(f"SQ-VAE model, {mode}: {quantity}", recorded.source, *pair)


def _sqvae_part(recorded: Recorded, part: str, mode: str) -> nn.Module:
    build = sqvae.Encoder if part == "encoder" else sqvae.Decoder
    module = build(32, 16, sqvae.Settings(width=0, blocks=2)).train(mode == "train")
    keys = recorded.keys(f"state.{part}.")
    return load(module, {sqvae_name(key[6:]): recorded[key] for key in keys})


def _named(module: nn.Module) -> dict[str, Tensor]:
    return dict(module.named_parameters())


def _official_norm(recorded: Recorded, name: str) -> Tensor:
    prefix = "encoder." if name.startswith("features") else "decoder."
    keys = [key for key in recorded.keys("gradnorm.") if key.startswith(f"gradnorm.{prefix}")]
    return next(recorded[key] for key in keys if sqvae_name(key[9:]) == name)


def edvae_three_steps() -> Iterator[Compared]:
    """Adam on encoder, decoder and codebook from step 2500 on, our own schedules."""
    recorded = Recorded("edvae_e2e_3steps")
    modules = _edvae_parts(recorded, "param0")
    encoder, decoder, quantizer = modules.values()
    parameters = [p for module in modules.values() for p in module.parameters()]
    optimizer = torch.optim.Adam(parameters, betas=(0.9, 0.999), eps=1e-8)
    for i in range(3):
        t = torch.tensor(2500.0 + i)
        annealed = quantizer.anneal(t)
        lr = schedules.quarter_cosine(t, 1e-3, 1.25e-6, 50_000)
        optimizer.param_groups[0]["lr"] = float(lr)
        x = recorded[f"x_{i}"] + 0.5
        with ops.replayed_noise([recorded[f"noise_{i}"]]):
            output = quantizer(encoder(x))
        mse = quantizer.reconstruction_loss(decoder(output.z_q), x)
        loss = mse + output.loss
        optimizer.zero_grad()
        loss.backward()
        norm = torch.stack([p.grad.norm() for p in parameters]).norm()
        optimizer.step()
        found = {"mse": mse, "loss": loss, "tau": annealed["temperature"], "lr": lr}
        found |= {"kl_weight": annealed["beta"], "additional_loss": output.loss}
        found |= {"gradnorm": norm, "indices": output.tokens}
        for quantity, ours in found.items():
            name = f"EdVAE training, step {i + 1}: {quantity}"
            yield Compared(name, recorded.source, ours, recorded[f"{quantity}_{i}"])
    yield from _edvae_trained(recorded, modules)


def _edvae_parts(recorded: Recorded, when: str) -> dict[str, nn.Module]:
    settings = dalle.Settings(width=8)
    modules: dict[str, nn.Module] = {
        "encoder": dalle.Encoder(32, 32, settings),
        "decoder": dalle.Decoder(32, 8, settings),
        "quantizer": EdVAE(32, 8, EdVAE.Settings()),
    }
    for part in ("encoder", "decoder"):
        keys = recorded.keys(f"{when}.{part}.")
        names = {dalle_name(key.split(".", 2)[2]): recorded[key] for key in keys}
        load(modules[part], names)
    modules["quantizer"].codebook.data.copy_(recorded[f"{when}.quantizer.codebook.weight"])
    return modules


def _edvae_trained(recorded: Recorded, modules: dict[str, nn.Module]) -> Iterator[Compared]:
    official = _edvae_parts(recorded, "param3")
    for part, module in modules.items():
        ours = torch.cat([p.flatten() for p in module.parameters()])
        theirs = torch.cat([p.detach().flatten() for p in official[part].parameters()])
        yield Compared(f"EdVAE training, after: {part} weights", recorded.source, ours, theirs)
    # The official run ended with an evaluation of its last batch.
    encoder, decoder, quantizer = (module.eval() for module in modules.values())
    logits = encoder(recorded["x_2"] + 0.5)
    output = quantizer(logits)
    x_rec = decoder(output.z_q) - 0.5
    mse = (x_rec - recorded["x_2"]).square().mean()
    found = {"logits": logits, "indices": output.tokens, "x_rec": x_rec, "mse": mse}
    for quantity, ours in found.items():
        name = f"EdVAE training, after: eval {quantity}"
        yield Compared(name, recorded.source, ours, recorded[f"eval_{quantity}"])


def all_schedules() -> Iterator[Compared]:
    recorded = Recorded("schedules")
    found = {
        "lr": lambda t: schedules.quarter_cosine(t, 1e-3, 1.25e-6, 50_000),
        "beta_edvae_cifar": lambda t: schedules.quarter_cosine(t, 0.0, 5e-7, 5_000),
        "beta_edvae_other": lambda t: schedules.quarter_cosine(t, 0.0, 1e-7, 5_000),
        "beta_dvae": lambda t: schedules.quarter_cosine(t, 0.0, 5e-5, 5_000),
        "tau": schedules.exponential,
    }
    for quantity, schedule in found.items():
        ours = torch.stack([schedule(t) for t in recorded["t"].float()])
        yield Compared(f"schedules: {quantity}", recorded.source, ours, recorded[quantity])
