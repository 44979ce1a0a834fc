"""The contract of a method as checks with messages to its author.

The same list runs over every shipped method in the tests and, as ``collapsebench test-method``,
over a user's file. A check returns nothing, or raises ``ContractError`` with one line that says
what was found and what is asked for; any other exception is the method's own.
"""

from __future__ import annotations

import dataclasses
import json
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from collapsebench.job import tracebacks
from collapsebench.plan import registry
from collapsebench.quantizer import PURPOSES, Quantized, Quantizer
from collapsebench.settings import PAPER_STEPS, did_you_mean

BATCH, SIDE = 4, 6  # images and grid side of the input that the checks use
MOST_SETTINGS = 8


class ContractError(AssertionError):
    """A promise of the contract that the method does not keep.

    Attributes:
        about: the function of the author's that does not; "" is the class itself.
    """

    def __init__(self, message: str, about: str = "forward"):
        super().__init__(message)
        self.about = about


Check = Callable[[type[Quantizer]], None]
CHECKS: dict[str, Check] = {}


def check(function: Check) -> Check:
    """Enters the check in CHECKS under its name, "gradient_reaches_the_encoder"."""
    CHECKS[function.__name__] = function
    return function


def of(word: str) -> dict[str, str]:
    """``run`` of the method that a name or path stands for."""
    return run(registry.method_class(word))


def run(method: type[Quantizer]) -> dict[str, str]:
    """Check name -> "" if kept, else one sentence and the author's own line; in this file's order.

    Each is tried on its own: what one raises does not stop the next.
    """
    return {name: _message(function, method) for name, function in CHECKS.items()}


def _message(function: Check, method: type[Quantizer]) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            function(method)
    except ContractError as error:
        line = tracebacks.written_in(method, error.about, str(error))
        return f"{error} ({line})" if line else str(error)
    except (Exception, SystemExit) as error:  # whatever the author's code raises
        line = tracebacks.own_line(error) or tracebacks.written_in(method, "", "")
        return f"{tracebacks.sentence(error)} ({line})"
    return ""


def build(method: type[Quantizer], seed: int = 0) -> Quantizer:
    """The method at its ``tiny()`` size with default settings, in training mode, at t = 0."""
    torch.manual_seed(seed)
    quantizer = method(*method.tiny(), method.Settings())
    quantizer.anneal(torch.tensor(0.0))
    return quantizer


def encoded(quantizer: Quantizer, seed: int = 1) -> Tensor:
    """A made-up encoder output z_e that asks for a gradient."""
    generator = torch.Generator().manual_seed(seed)
    shape = (BATCH, quantizer.encoder_channels, SIDE, SIDE)
    return torch.randn(shape, generator=generator).requires_grad_()


def trained(method: type[Quantizer], steps: int = 3) -> Quantizer:
    """The method after ``initialize`` and a few steps of its own loss, as the trainer does them."""
    quantizer = build(method)
    quantizer.initialize(encoded(quantizer).detach())
    groups = [group for group in quantizer.parameter_groups(1e-2) if group["params"]]
    optimizer = torch.optim.Adam(groups) if groups else None
    for step in range(steps):
        quantizer.anneal(torch.tensor(float(step)))
        z_e = encoded(quantizer, seed=step)
        output = forward(quantizer, z_e.clone())  # no leaf, as an encoder gives it
        _ask_scalar(output.loss, "train")
        (output.z_q.square().mean() + output.loss).backward()
        if optimizer:
            optimizer.step()
            optimizer.zero_grad()
        quantizer.update(z_e.detach(), output.tokens)
    return quantizer


def forward(quantizer: Quantizer, z_e: Tensor) -> Quantized:
    """One call, whose result has the type that it must have."""
    output = quantizer(z_e)
    whole = isinstance(output, Quantized)
    _ask(whole, "forward must return Quantized(z_q, tokens, loss, terms)")
    for name in ("z_q", "tokens", "loss"):
        value = getattr(output, name)
        _ask(isinstance(value, Tensor), f"{name} is {value!r:.40}, must be a tensor")
    return output


def _ask(condition: bool, message: str, about: str = "forward") -> None:
    if not condition:
        raise ContractError(message, about)


@check
def it_says_what_it_is(method: type[Quantizer]) -> None:
    """Label, network and implementation are set; the settings are few, frozen, plain."""
    _ask(bool(method.label), "set label = '...': the name that tables print", "")
    _ask(bool(method.network), "set network = '...': the family of encoder and decoder", "")
    networks = registry.names("networks")
    known = method.network in networks or method.network.endswith(".py")
    hint = did_you_mean(method.network, networks)
    _ask(known, f"network is {method.network!r}, unknown{hint}", "")
    _ask(method.implementation >= 1, "implementation must be 1 or more", "")
    for purpose in method.on_purpose:
        hint = did_you_mean(purpose, PURPOSES)
        _ask(purpose in PURPOSES, f"on_purpose has {purpose!r}{hint}", "")
    settings = method.Settings
    parameters = getattr(settings, "__dataclass_params__", None)
    frozen = getattr(parameters, "frozen", False)
    _ask(frozen, "Settings must be a dataclass with frozen=True", "Settings")
    count = len(dataclasses.fields(settings))
    _ask(
        count <= MOST_SETTINGS, f"Settings has {count} fields; at most {MOST_SETTINGS}", "Settings"
    )
    try:
        json.dumps(dataclasses.asdict(settings()), allow_nan=False)
    except (TypeError, ValueError) as error:
        message = f"Settings must hold plain values with defaults: {error}"
        raise ContractError(message, "Settings") from None


@check
def for_dataset_names_its_own_settings(method: type[Quantizer]) -> None:
    """Per-dataset defaults are values of fields that exist."""
    fields = getattr(method.Settings, "__dataclass_fields__", {})
    for dataset, values in method.for_dataset.items():
        strange = set(values) - set(fields)
        _ask(not strange, f"for_dataset[{dataset!r}] names {sorted(strange)}, not in Settings", "")


@check
def output_has_the_right_shapes_and_types(method: type[Quantizer]) -> None:
    """z_q, tokens, loss and terms have their shapes and types, in training and evaluation."""
    quantizer = build(method)
    size, dim = method.tiny()
    for mode in ("train", "eval"):
        output = forward(quantizer.train(mode == "train"), encoded(quantizer).clone())
        _check_output(output, size, dim, quantizer.codebooks, mode)


def _check_output(output: Quantized, size: int, dim: int, codebooks: int, mode: str) -> None:
    z_q, tokens, loss = output.z_q, output.tokens, output.loss
    wanted = (BATCH, dim, SIDE, SIDE)
    _ask(z_q.shape == wanted, f"{mode}: z_q is {tuple(z_q.shape)}, must be (B, D, H, W) = {wanted}")
    _ask(z_q.dtype == torch.float32, f"{mode}: z_q is {z_q.dtype}, must be float32")
    grid = (BATCH, SIDE, SIDE) + ((codebooks,) if codebooks > 1 else ())
    _ask(tokens.shape == grid, f"{mode}: tokens are {tuple(tokens.shape)}, must be {grid}")
    _ask(tokens.dtype == torch.int64, f"{mode}: tokens are {tokens.dtype}, must be int64")
    low, high = int(tokens.min()), int(tokens.max())
    _ask(0 <= low <= high < size, f"{mode}: tokens span {low} to {high}, must lie in [0, {size})")
    _ask_scalar(loss, mode)
    _ask(bool(loss.isfinite()), f"{mode}: loss is {float(loss.detach())}")
    for name, term in output.terms.items():
        _ask(term.shape == (), f"{mode}: terms[{name!r}] is {tuple(term.shape)}, must be 0-d")
        _ask(not term.requires_grad, f"{mode}: terms[{name!r}] carries a gradient: detach() it")


def _ask_scalar(loss: Tensor, mode: str) -> None:
    _ask(loss.shape == (), f"{mode}: loss is {tuple(loss.shape)}, must be 0-d")


@check
def gradient_reaches_the_encoder(method: type[Quantizer]) -> None:
    """The decoder's gradient at z_q arrives at z_e."""
    quantizer = build(method)
    z_e = encoded(quantizer)
    forward(quantizer, z_e.clone()).z_q.square().sum().backward()
    gradient = torch.zeros_like(z_e) if z_e.grad is None else z_e.grad
    _ask(bool(gradient.isfinite().all()), "the gradient at z_e is not finite")
    arrived = bool(gradient.abs().sum() > 0)
    _ask(arrived, "no gradient reaches z_e through z_q: use straight_through or a soft mixture")


@check
def input_is_left_alone(method: type[Quantizer]) -> None:
    """Forward does not write into z_e."""
    quantizer = build(method)
    z_e = encoded(quantizer).detach()
    before = z_e.clone()
    quantizer(z_e)
    _ask(torch.equal(z_e, before), "forward changed z_e in place; work on a copy")


@check
def evaluation_is_deterministic(method: type[Quantizer]) -> None:
    """In eval mode, two calls give the same."""
    quantizer = trained(method).eval()
    z_e = encoded(quantizer).detach()
    first, second = forward(quantizer, z_e.clone()), forward(quantizer, z_e.clone())
    same = torch.equal(first.z_q, second.z_q) and torch.equal(first.tokens, second.tokens)
    _ask(same, "in eval mode forward must draw nothing: two calls differ")


@check
def tokens_say_what_the_decoder_sees(method: type[Quantizer]) -> None:
    """In eval mode, z_q == embed(tokens), exactly; for methods that have codes."""
    quantizer = trained(method).eval()
    if quantizer.codebooks == 0:
        return
    output = forward(quantizer, encoded(quantizer).detach())
    same = torch.equal(output.z_q, quantizer.embed(output.tokens))
    _ask(same, "in eval mode z_q must equal embed(tokens), or samples of the prior decode wrongly")


@check
def state_dict_holds_everything(method: type[Quantizer]) -> None:
    """A fresh instance with the loaded state continues exactly as the old one."""
    quantizer = trained(method)
    other = build(method, seed=5)
    other.load_state_dict(quantizer.state_dict())
    for step in (1, 2):
        outputs = []
        for one in (quantizer, other):
            torch.manual_seed(step)
            with torch.no_grad():
                output = forward(one, encoded(one, step).detach())
            one.update(encoded(one, step).detach(), output.tokens)
            outputs.append(output)
        same = torch.equal(outputs[0].z_q, outputs[1].z_q) and outputs[0].loss == outputs[1].loss
        _ask(
            bool(same),
            "after load_state_dict results differ: register_buffer what was left out",
            "__init__",
        )


@check
def anneal_gives_numbers_for_the_log(method: type[Quantizer]) -> None:
    """What is scheduled is a finite 0-d tensor at the first and the last step."""
    quantizer = build(method)
    for t in (0.0, float(PAPER_STEPS)):
        for name, value in quantizer.anneal(torch.tensor(t)).items():
            good = isinstance(value, Tensor) and value.shape == () and bool(value.isfinite())
            _ask(good, f"anneal({t:g})[{name!r}] must be a finite 0-d tensor", "anneal")


@check
def every_parameter_is_optimized_once(method: type[Quantizer]) -> None:
    """The groups hold each trainable parameter exactly once."""
    quantizer = build(method)
    listed = [id(p) for group in quantizer.parameter_groups(1e-3) for p in group["params"]]
    wanted = [id(p) for p in quantizer.parameters() if p.requires_grad]
    message = "parameter_groups must list each trainable parameter exactly once"
    _ask(sorted(listed) == sorted(wanted), message, "parameter_groups")


@check
def posterior_is_a_distribution(method: type[Quantizer]) -> None:
    """Probabilities (B, K, H, W) that sum to one over K, or None."""
    quantizer = trained(method).eval()
    probabilities = quantizer.posterior(encoded(quantizer).detach())
    if probabilities is None:
        return
    wanted = (BATCH, method.tiny()[0], SIDE, SIDE)
    shape = tuple(probabilities.shape)
    _ask(shape == wanted, f"posterior is {shape}, must be (B, K, H, W) = {wanted}", "posterior")
    good = bool((probabilities >= 0).all()) and bool(
        ((probabilities.sum(1) - 1).abs() < 1e-4).all()
    )
    _ask(good, "posterior must be non-negative and sum to 1 over its K axis", "posterior")


@check
def codes_are_the_codebook(method: type[Quantizer]) -> None:
    """codes() is (K, D) or (Q, K, D), detached, and holds what embed gives; or None if implicit."""
    quantizer = trained(method).eval()
    codes = quantizer.codes()
    if codes is None:
        return
    count, (size, dim) = quantizer.codebooks, method.tiny()
    wanted = (size, dim) if count == 1 else (count, size, dim)
    _ask(codes.shape == wanted, f"codes() is {tuple(codes.shape)}, must be {wanted}", "codes")
    _ask(not codes.requires_grad, "codes() must be detached", "codes")
    tokens = (torch.arange(size)[:, None] + torch.arange(count)) % size  # (K, Q), depths differ
    looked_up = quantizer.embed(tokens.squeeze(-1)[None, None]).detach()
    summed = codes.view(count, size, dim)[torch.arange(count), tokens].sum(1)
    same = torch.allclose(looked_up[0, :, 0].t(), summed)
    _ask(same, "codes() must be what embed gives: the effective codebook", "embed")
