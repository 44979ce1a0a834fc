"""Whether tokens say what the decoder sees: all of them, in both directions, in bfloat16 too."""

from __future__ import annotations

import torch
from torch import Tensor

from collapsebench.author.lint.checks.registry import check
from collapsebench.author.lint.findings import Verdict, cannot, failed, note, ok
from collapsebench.author.lint.subject import (
    Subject,
    all_codes,
    embedded,
    is_wrapped,
    shown,
    table,
    tables,
)
from collapsebench.author.lint.training import answering, trained
from collapsebench.plan.wrapped import copied
from collapsebench.quantizer import Quantized, Quantizer

CLOSE = 1e-4  # of the vectors' size: rounding of z + (q - z)
ROUNDED = 0.05  # in bfloat16
SPREADS = (0.1, 0.3, 1.0, 3.0, 8.0)  # of inputs that look for codes, in units of theirs
MORE_SEEDS = 12  # until every token was given
NEARBY = 0.9  # share of codes that must answer with their own token to be looked for one by one
MERGED = "more vectors are shown than tokens are given, so ids are merged: see below"
PER_CODE = 16  # inputs per code that look for it, of each spread and seed


@check(
    "K declared = K reachable, on inputs spread around the codes",
    "every token from 0 to K - 1 is given to some input, and no other",
)
def reachable(subject: Subject) -> Verdict:
    """The range of the tokens, and those that no input gets, whatever the codes are."""
    if subject.codebooks == 0:
        return ok()
    size = subject.size[0]
    missing = set(range(size))
    for seed in range(subject.seeds[0], subject.seeds[0] + MORE_SEEDS):
        output = _wide(subject, seed)
        low, high = int(output.tokens.min()), int(output.tokens.max())
        if low < 0 or high >= size:
            return failed(f"tokens span {low} to {high}, of K = {size}", "an index off by one")
        missing -= set(output.tokens.unique().tolist())
        if not missing:
            return ok()
    if subject.instance is not None and not subject.fixed and answering(subject) < NEARBY:
        return note(f"{len(missing)} of {size} codes were not reached by the inputs tried")
    ids = ", ".join(map(str, sorted(missing)[:4])) + (", …" if len(missing) > 4 else "")
    if subject.codebooks == 1 and _distinct(output.z_q) > _distinct(output.tokens.unsqueeze(1)):
        return cannot(f"{MERGED}; never given: {ids}")
    return failed(
        f"{size - len(missing)} of {size} tokens are ever given; never {ids}",
        "an index off by one, or levels that rounding cannot reach",
    )


def _distinct(vectors: Tensor) -> int:
    """How many different vectors (M, D, 1, 1) there are."""
    rows = vectors.permute(0, 2, 3, 1).flatten(0, 2).float()
    return len(torch.unique((rows / _size(rows) * 1e3).round(), dim=0))


def _wide(subject: Subject, seed: int) -> Quantized:
    """What inputs of many spreads get, all of them along the first axis: (M, D, 1, 1)."""
    quantizer = _started(subject, seed, subject.size)
    if subject.instance is not None:
        quantizer = _shuffled(quantizer, seed)
    outputs = [shown(quantizer, z) for z in _wide_inputs(subject, quantizer, seed)]
    z_q = [o.z_q.permute(0, 2, 3, 1).flatten(0, 2) for o in outputs]
    tokens = [o.tokens.flatten(0, 2) for o in outputs]
    return Quantized(
        torch.cat(z_q)[..., None, None], torch.cat(tokens)[:, None, None], z_q[0].sum()
    )


def _started(subject: Subject, seed: int, size: tuple[int, int]) -> Quantizer:
    """An instance after its first batch, on which some start; large enough for K centres."""
    quantizer = subject.make(seed, size)
    z = subject.inputs(seed, (32, 8, 8), quantizer.encoder_channels)
    with torch.no_grad():
        quantizer.initialize(z.clone())
        quantizer.train()(z.clone())
    return quantizer


def _wide_inputs(subject: Subject, quantizer: Quantizer, seed: int) -> list[Tensor]:
    channels = quantizer.encoder_channels
    side = max(8, int((PER_CODE * quantizer.codebook_size / 16) ** 0.5) + 1)
    codes = [c for c in (all_codes(quantizer), table(quantizer)) if c is not None]
    near = [c.t().reshape(1, channels, 1, -1) for c in codes if c.shape[1] == channels]
    given = list(near)
    for spread in SPREADS:
        given.append(spread * subject.inputs(seed, (16, side, side), channels))
        given += [c + 0.1 * spread * torch.randn(4, *c.shape[1:]) for c in near]
    return given


def _shuffled(quantizer: Quantizer, seed: int) -> Quantizer:
    """The rows of an instance's codebook in another order, so that an id's code varies."""
    own = copied(quantizer)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(own.codebook_size, generator=generator)
    for codes in tables(own).values():
        codes.data.copy_(codes.data[..., order, :].clone())
    return own


@check(
    "token → vector → token is the identity, largest id included, also under bf16 autocast",
    "a token's vector is the one that was shown with the token",
)
def token_round_trip(subject: Subject) -> Verdict:
    """Ids: their type, their largest, and whether each names the vector that it came with."""
    if subject.codebooks == 0:
        return ok()
    if is_wrapped(subject) and subject.sample.roles.rounded:  # type: ignore[union-attr]
        return failed(
            "the tokens are floating-point numbers",
            "ids go through float arithmetic, which rounds large ones",
        )
    if subject.failed("reachable", "evaluation"):
        return cannot("the tokens themselves are wrong: see there")
    pairs = [_pair(subject, seed) for seed in subject.seeds]
    if any(pair is None for pair in pairs):
        return cannot(_no_decoder(subject))
    largest = all_codes(trained(subject, subject.seeds[0]).quantizer)
    if largest is None or not largest.isfinite().all():
        return failed("the vector of some token is not finite", "a look-up beyond the codebook")
    faults = [_misnamed(*pair) for pair in pairs if pair is not None]
    if all(faults):
        return failed(
            faults[0],
            "another order of ids, ids rounded, cut or kept in a small "
            "integer type, or a look-up that skips the projection",
        )
    exact = [not _differs(*pair[1:]) for pair in pairs if pair is not None]
    return _in_bfloat16(subject) if any(exact) else ok()


def _no_decoder(subject: Subject) -> str:
    return (
        f"nothing of {subject.name} that turns tokens into vectors was found; "
        "--outputs decoder=NAME names its function"
    )


def _pair(subject: Subject, seed: int) -> tuple[Quantizer, Quantized, Tensor] | None:
    """A trained instance, what evaluation showed, and what its tokens decode to."""
    quantizer = trained(subject, seed).quantizer
    output = shown(quantizer, _varied(subject, quantizer, seed))
    decoded = embedded(quantizer, output.tokens)
    return None if decoded is None else (quantizer, output, decoded)


def _varied(subject: Subject, quantizer: Quantizer, seed: int) -> Tensor:
    """Inputs that get many tokens: normal ones, and where they fit the codes themselves."""
    codes = all_codes(quantizer)
    z = subject.inputs(seed + 13)
    if codes is None or codes.shape[1] != z.shape[1] or quantizer.codebooks != 1:
        return z
    positions = len(z) * z.shape[2] * z.shape[3]
    rows = torch.linspace(0, len(codes) - 1, positions).round().long()
    spread = codes[rows].view(len(z), z.shape[2], z.shape[3], -1).permute(0, 3, 1, 2)
    return torch.cat([z, spread])


def _misnamed(quantizer: Quantizer, output: Quantized, decoded: Tensor) -> str:
    """How tokens misname the vectors they came with, or ""; a wrong look-up is not its matter."""
    if decoded.shape != output.z_q.shape:
        return (
            f"a token's vector has {decoded.shape[1]} numbers, the decoder was shown "
            f"{output.z_q.shape[1]}"
        )
    off = _off(output.z_q, decoded)
    if not off.any() or quantizer.codebooks != 1:
        return ""
    codes = all_codes(quantizer)
    assert codes is not None
    seen = output.z_q.permute(0, 2, 3, 1)[off]
    others = torch.cdist(seen, codes).amin(1) < CLOSE * 10 * _size(output.z_q)
    if 2 * int(others.sum()) > len(others):
        return f"{int(off.sum())} of {off.numel()} tokens name another code than the one shown"
    return _unprojected(quantizer, output, decoded)


def _unprojected(quantizer: Quantizer, output: Quantized, decoded: Tensor) -> str:
    rows = table(quantizer)
    if rows is None or rows.shape[1] != decoded.shape[1] or len(rows) != quantizer.codebook_size:
        return ""
    own = rows[output.tokens].permute(0, 3, 1, 2)
    collinear = torch.cosine_similarity(decoded, output.z_q, dim=1).mean() > 0.99
    if _off(own, decoded).any() or collinear:
        return ""
    return "a token's vector is the row of the codebook, not what the decoder was shown"


def _off(a: Tensor, b: Tensor, tolerance: float = CLOSE) -> Tensor:
    """Positions (B, H, W) whose vectors differ."""
    return (a.float() - b.float()).abs().amax(1) > tolerance * _size(a)


def _size(vectors: Tensor) -> float:
    return float(vectors.float().abs().max()) + 1e-6


def _in_bfloat16(subject: Subject) -> Verdict:
    size = subject.large or subject.size
    for seed in subject.seeds:
        quantizer = _started(subject, seed, size)
        z = subject.inputs(seed, (16, 12, 12), quantizer.encoder_channels)
        with torch.autocast("cpu", torch.bfloat16):
            try:
                output = shown(quantizer, z)
            except RuntimeError as error:
                return note(
                    f"it does not run under bfloat16 autocast: {str(error).splitlines()[0]}"
                )
        decoded = embedded(quantizer, output.tokens.clamp(0, size[0] - 1))
        if decoded is None or decoded.shape != output.z_q.shape:
            return ok()
        share = float(_off(output.z_q, decoded, ROUNDED).float().mean())
        if share < ROUNDED:
            return ok()
    return failed(
        f"under bfloat16 autocast {share:.0%} of the tokens name another vector than the "
        f"one shown, K = {size[0]}",
        "ids are computed by a product that autocast rounds to 8 bits",
    )


@check("decoding tokens equals what eval showed the decoder", "the same vectors, to rounding")
def decoding(subject: Subject) -> Verdict:
    """What evaluation showed against what its tokens decode to."""
    if subject.codebooks == 0:
        return ok()
    if subject.failed("reachable", "token_round_trip", "evaluation"):
        return cannot("the tokens themselves are wrong: see there")
    pairs = [_pair(subject, seed) for seed in subject.seeds]
    if any(pair is None for pair in pairs):
        return cannot(_no_decoder(subject))
    faults = [_differs(*pair[1:]) for pair in pairs if pair is not None]
    if all(faults):
        return failed(faults[0], "a scale or a depth that the look-up forgets, or sums otherwise")
    return ok()


def _differs(output: Quantized, decoded: Tensor) -> str:
    if decoded.shape != output.z_q.shape:
        return f"decoded are {tuple(decoded.shape)}, shown were {tuple(output.z_q.shape)}"
    off = _off(output.z_q, decoded)
    if not off.any():
        return ""
    words = f"{int(off.sum())} of {off.numel()} positions differ"
    ratio = (output.z_q * decoded).sum() / decoded.square().sum().clamp(min=1e-12)
    if not _off(output.z_q, decoded * ratio).any():
        return f"{words}, by the factor {float(ratio):.3g}"
    return words
