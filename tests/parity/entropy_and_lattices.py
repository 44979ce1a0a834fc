"""Methods with an entropy term or a fixed lattice of codes against the official quantizers."""

from collections.abc import Iterator

import torch
from torch import Tensor

from collapsebench.methods.bsq import BSQ
from collapsebench.methods.cosine_vq import CosineVQ
from collapsebench.methods.entropy_vq import EntropyVQ
from collapsebench.methods.fsq import FSQ
from collapsebench.methods.ibq import IBQ
from collapsebench.methods.lfq import LFQ
from collapsebench.quantizer import Quantizer

from .quantizers import ONE, ready
from .recorded import Compared, Recorded, grads

Pairs = dict[str, tuple[Tensor, Tensor]]  # quantity -> (ours, official)
LATE = torch.tensor(150_000.0)  # after every boost


def compared(name: str, recorded: Recorded, pairs: Pairs) -> Iterator[Compared]:
    for quantity, pair in pairs.items():
        # Gradients of the entropy term are differences divided by a temperature of 0.01.
        rounding = 2e-5 if "gradient" in quantity else 1e-6
        yield Compared(f"{name}: {quantity}", recorded.source, *pair, rounding)


def sized(method: type[Quantizer], recorded: Recorded, **settings: object) -> Quantizer:
    """The method without a codebook of its own, at the recorded sizes, annealed."""
    sizes = recorded.meta["sizes"]
    quantizer = method(sizes["K"], sizes["D"], method.Settings(**settings))
    quantizer.anneal(LATE)
    return quantizer


def cosine_vq() -> Iterator[Compared]:
    for file in ("cosine_S", "cosine_M", "cosine_entropy_near"):
        recorded = Recorded(file)
        settings = {"entropy": recorded.meta["entropy_loss_ratio"]}
        quantizer = ready(CosineVQ, recorded["codebook_0"], **settings)
        optimizer = torch.optim.Adam(quantizer.parameters(), lr=recorded.meta["adam_lr"])
        label = f"cosine VQ{' with entropy' if settings['entropy'] else ''}"
        for i in range(3):
            name = f"{label}, {file} step {i + 1}"
            parts = ("codebook_loss", "commitment_weighted", "entropy_weighted")
            loss = sum(recorded[f"{part}_{i}"] for part in parts)
            yield from _trained_step(quantizer, recorded, name, i, loss)
            optimizer.step()
            after = recorded[f"codebook_{i + 1}"]
            yield from compared(name, recorded, {"stored codebook": (quantizer.codebook, after)})
        output = quantizer.eval()(recorded["z_e_0"])
        tokens = recorded["eval_indices_on_z0"]
        pairs = {
            "z_q": (output.z_q, recorded["eval_z_q_on_z0"]),
            "tokens": (output.tokens, tokens),
            "codes of the tokens": (quantizer.embed(tokens), recorded["entry_of_eval_indices"]),
        }
        yield from compared(f"{label}, {file} eval", recorded, pairs)


def _trained_step(
    quantizer: Quantizer, recorded: Recorded, name: str, i: int, loss: Tensor
) -> Iterator[Compared]:
    """One forward; leaves the gradient of <upstream, z_q> + loss at the codebook."""
    z_e, upstream = recorded[f"z_e_{i}"].requires_grad_(), recorded[f"upstream_{i}"]
    output = quantizer(z_e)
    by_z_q = grads(output.z_q, upstream, z_e, quantizer.codebook)
    by_loss = grads(output.loss, ONE, z_e, quantizer.codebook)
    quantizer.codebook.grad = by_z_q[1] + by_loss[1]
    pairs = {
        "z_q": (output.z_q, recorded[f"z_q_{i}"]),
        "tokens": (output.tokens, recorded[f"indices_{i}"]),
        "loss": (output.loss, loss),
        "gradient at z_e": (by_z_q[0], recorded[f"grad_z_e_from_zq_{i}"]),
        "gradient at codebook": (by_z_q[1], recorded[f"grad_codebook_from_zq_{i}"]),
        "loss gradient at z_e": (by_loss[0], recorded[f"grad_z_e_from_loss_{i}"]),
        "loss gradient at codebook": (by_loss[1], recorded[f"grad_codebook_from_loss_{i}"]),
    }
    yield from compared(name, recorded, pairs)


def entropy_vq() -> Iterator[Compared]:
    for file in ("maskgit_S", "maskgit_M", "maskgit_near"):
        recorded = Recorded(file)
        for i in range(2):
            quantizer = ready(EntropyVQ, recorded["codebook"])
            name = f"entropy VQ, {file} {i + 1}"
            yield from _trained_step(quantizer, recorded, name, i, recorded[f"quantizer_loss_{i}"])
            output = quantizer(recorded[f"z_e_{i}"])
            commitment, term = recorded[f"e_latent_loss_{i}"], recorded[f"entropy_loss_{i}"]
            entropy = output.terms["row_entropy"] - output.terms["mean_entropy"]
            z_q = quantizer.eval()(recorded[f"z_e_{i}"]).z_q
            pairs = {
                "commitment": (0.25 * output.terms["commitment"], commitment),
                "entropy term": (0.1 * entropy, term),
                "z_q in eval": (z_q, recorded[f"eval_z_q_{i}"]),
            }
            yield from compared(name, recorded, pairs)


def ibq() -> Iterator[Compared]:
    for file in ("ibq_S", "ibq_M", "ibq_near"):
        recorded = Recorded(file)
        quantizer = ready(IBQ, recorded["codebook_0"])
        optimizer = torch.optim.Adam(quantizer.parameters(), lr=recorded.meta["adam_lr"])
        for i in range(3):
            name = f"IBQ, {file} step {i + 1}"
            yield from _ibq_step(quantizer, recorded, name, i)
            optimizer.step()
            after = recorded[f"codebook_{i + 1}"]
            yield from compared(name, recorded, {"codebook": (quantizer.codebook, after)})


def _ibq_step(quantizer: IBQ, recorded: Recorded, name: str, i: int) -> Iterator[Compared]:
    """One forward; leaves the gradient of <upstream, z_q> + loss at the codebook."""
    z_e, codebook = recorded[f"z_e_{i}"].requires_grad_(), quantizer.codebook
    output = quantizer(z_e)
    entropy = output.terms["row_entropy"] - output.terms["mean_entropy"]
    pairs = {
        "z_q": (output.z_q, recorded[f"z_q_{i}"]),
        "tokens": (output.tokens, recorded[f"indices_{i}"]),
        "quantization loss": (output.terms["quantization"], recorded[f"quant_loss_{i}"]),
        "entropy term": (entropy, recorded[f"entropy_loss_{i}"]),
        "entropy of the rows": (output.terms["row_entropy"], recorded[f"sample_entropy_{i}"]),
        "entropy of their mean": (output.terms["mean_entropy"], recorded[f"average_entropy_{i}"]),
    }
    by_z_q = grads(output.z_q, recorded[f"upstream_{i}"], z_e, codebook)
    by_loss = grads(output.loss, ONE, z_e, codebook)
    term = ready(IBQ, codebook.detach(), quant=0.0, entropy=1.0)
    by_term = grads(term(z_e).loss, ONE, z_e, term.codebook)
    for k, place in enumerate(("z_e", "codebook")):
        official = {
            by: recorded[f"grad_{place}_from_{by}_{i}"] for by in ("zq", "quant", "entropy")
        }
        pairs[f"gradient at {place}"] = (by_z_q[k], official["zq"])
        whole = official["quant"] + 0.05 * official["entropy"]
        pairs[f"loss gradient at {place}"] = (by_loss[k], whole)
        if official["entropy"].abs().max() > 1e-5:  # else saturated: only rounding is left
            pairs[f"entropy gradient at {place}"] = (by_term[k], official["entropy"])
    codebook.grad = by_z_q[1] + by_loss[1]
    yield from compared(name, recorded, pairs)


def fsq() -> Iterator[Compared]:
    for file in ("fsq_S", "fsq_M", "fsq_odd_even"):
        recorded = Recorded(file)
        levels = ",".join(str(level) for level in recorded.meta["levels"])
        quantizer, z_e = sized(FSQ, recorded, levels=levels), recorded["z_e"].requires_grad_()
        output, everything = quantizer(z_e), torch.arange(quantizer.codebook_size)
        (by_z_q,) = grads(output.z_q, recorded["upstream"], z_e)
        pairs = {
            "z_q": (output.z_q, recorded["z_q"]),
            "tokens": (output.tokens, recorded["indices"]),
            "gradient at z_e": (by_z_q, recorded["grad_z_e_from_zq"]),
            "codes of the tokens": (quantizer.embed(output.tokens), recorded["codes_of_indices"]),
            "all codes": (
                quantizer.embed(everything[None, None])[0, :, 0].t(),
                recorded["codebook"],
            ),
        }
        yield from compared(f"FSQ, {file}", recorded, pairs)


def lfq() -> Iterator[Compared]:
    for file in ("lfq_S", "lfq_near"):
        recorded = Recorded(file)
        for i in range(2):
            yield from _lfq(recorded, f"LFQ, {file} {i + 1}", i)


def _lfq(recorded: Recorded, name: str, i: int) -> Iterator[Compared]:
    z_e, upstream = recorded[f"z_e_{i}"].requires_grad_(), recorded[f"upstream_{i}"]
    output = sized(LFQ, recorded)(z_e)
    entropy = sized(LFQ, recorded, entropy=1.0, commitment=0.0)(z_e).loss
    commitment = sized(LFQ, recorded, entropy=0.0, commitment=1.0)(z_e).loss
    official = {part: recorded[f"{part}_{i}"] for part in ("entropy_loss", "commitment")}
    everything = torch.arange(2 ** z_e.shape[1])[None, None]
    codes = sized(LFQ, recorded).embed(everything)[0, :, 0].t()
    pairs = {
        "z_q": (output.z_q, recorded[f"z_q_{i}"]),
        "tokens": (output.tokens, recorded[f"indices_{i}"]),
        "all codes": (codes, recorded["codebook"]),
        "entropy of the rows": (output.terms["row_entropy"], recorded[f"sample_entropy_{i}"]),
        "entropy of their mean": (output.terms["mean_entropy"], recorded[f"average_entropy_{i}"]),
        "entropy term": (entropy, official["entropy_loss"]),
        "commitment": (commitment, official["commitment"]),
        "loss": (output.loss, 0.1 * official["entropy_loss"] + 0.25 * official["commitment"]),
        "gradient at z_e": (
            grads(output.z_q, upstream, z_e)[0],
            recorded[f"grad_z_e_from_zq_{i}"],
        ),
        "entropy gradient at z_e": (
            grads(entropy, ONE, z_e)[0],
            recorded[f"grad_z_e_from_entropy_{i}"],
        ),
        "commitment gradient at z_e": (
            grads(commitment, ONE, z_e)[0],
            recorded[f"grad_z_e_from_commitment_{i}"],
        ),
    }
    yield from compared(name, recorded, pairs)


def bsq() -> Iterator[Compared]:
    forms = {
        "bsq_g6_group_S": {},
        "bsq_g3_group_S": {"group": 3},
        "bsq_g3_group_near": {"group": 3},
        "bsq_g3_analytical_S": {"group": 3, "analytical": True},
    }
    for file, settings in forms.items():
        recorded = Recorded(file)
        for i in range(2):
            z_e = recorded[f"z_e_{i}"].requires_grad_()
            output = sized(BSQ, recorded, **settings)(z_e)
            (by_z_q,) = grads(output.z_q, recorded[f"upstream_{i}"], z_e)
            (by_loss,) = grads(output.loss, ONE, z_e)
            rows, mean = output.terms["row_entropy"], output.terms["mean_entropy"]
            pairs = {
                "z_q": (output.z_q, recorded[f"z_q_{i}"]),
                "tokens": (output.tokens, recorded[f"indices_{i}"]),
                "entropy of the rows": (rows, recorded[f"sample_entropy_{i}"]),
                "entropy of their mean": (mean, recorded[f"average_entropy_{i}"]),
                "loss": (output.loss, 0.1 * recorded[f"loss_{i}"]),
                "gradient at z_e": (by_z_q, recorded[f"grad_z_e_from_zq_{i}"]),
                "loss gradient at z_e": (by_loss, 0.1 * recorded[f"grad_z_e_from_loss_{i}"]),
            }
            yield from compared(f"BSQ, {file} {i + 1}", recorded, pairs)
