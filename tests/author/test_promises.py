"""Every shipped method keeps the contract, and the checks notice methods that do not."""

from dataclasses import dataclass

import pytest
import torch

from collapsebench.author import promises
from collapsebench.methods.random_codes import RandomCodes
from collapsebench.methods.rq_vae import RQVAE
from collapsebench.methods.vq_vae import VQVAE
from collapsebench.plan import registry
from collapsebench.quantizer import Quantized, Quantizer


@pytest.mark.parametrize("check", promises.CHECKS)
@pytest.mark.parametrize("name", registry.names("methods"))
def test_method_keeps_its_contract(name, check):
    method = registry.only_subclass(registry.find("methods", name), Quantizer)
    promises.CHECKS[check](method)


def broken(check):
    """A VQ-VAE that breaks exactly one promise."""

    class Broken(VQVAE):
        pass

    def forward(self, z_e, change):
        return change(VQVAE.forward(self, z_e))

    def changes(change):
        Broken.forward = lambda self, z_e: forward(self, z_e, change)

    match check:
        case "it_says_what_it_is":
            Broken.label = ""
        case "for_dataset_names_its_own_settings":
            Broken.for_dataset = {"celeba": {"betta": 1.0}}
        case "output_has_the_right_shapes_and_types":
            changes(lambda q: Quantized(q.z_q, q.tokens.int(), q.loss))
        case "gradient_reaches_the_encoder":
            changes(lambda q: Quantized(q.z_q.detach().requires_grad_(), q.tokens, q.loss))
        case "input_is_left_alone":
            Broken.forward = lambda self, z_e: VQVAE.forward(self, z_e.mul_(2))
        case "evaluation_is_deterministic":
            changes(lambda q: Quantized(q.z_q + torch.rand(()), q.tokens, q.loss))
        case "tokens_say_what_the_decoder_sees":
            changes(lambda q: Quantized(q.z_q * 2, q.tokens, q.loss))
        case "state_dict_holds_everything":
            Broken.update = lambda self, z_e, tokens: setattr(self, "gain", 2.0)
            Broken.forward = lambda self, z_e: VQVAE.forward(self, z_e * getattr(self, "gain", 1.0))
        case "anneal_gives_numbers_for_the_log":
            Broken.anneal = lambda self, t: {"beta": 0.25}
        case "every_parameter_is_optimized_once":
            Broken.parameter_groups = lambda self, lr: []
        case "posterior_is_a_distribution":
            Broken.posterior = lambda self, z_e: torch.ones(4, 8, 6, 6)
        case "codes_are_the_codebook":
            Broken.codes = lambda self: self.codebook.detach() + 1
    return Broken


@pytest.mark.parametrize("check", promises.CHECKS)
def test_check_notices_the_promise_that_is_broken(check):
    with pytest.raises(promises.ContractError):
        promises.CHECKS[check](broken(check))


@pytest.mark.parametrize(
    ("change", "message"),
    [(lambda c: c.flip(0), "what embed gives"), (lambda c: c.sum(0), r"is \(8, 4\), must be \(4,")],
    ids=["another order", "their sum"],
)
def test_check_notices_codes_of_several_codebooks_that_are_not_theirs(change, message):
    class Broken(RQVAE):
        def codes(self):
            return change(RQVAE.codes(self))

    with pytest.raises(promises.ContractError, match=message):
        promises.CHECKS["codes_are_the_codebook"](Broken)


def test_run_reports_every_check_in_order():
    found = promises.run(broken("codes_are_the_codebook"))
    assert list(found) == list(promises.CHECKS)
    assert [name for name, message in found.items() if message] == ["codes_are_the_codebook"]
    assert found["codes_are_the_codebook"].startswith("codes() must be what embed gives")


def test_more_than_eight_settings_are_refused():
    @dataclass(frozen=True)
    class Many:
        a: int = 0
        b: int = 0
        c: int = 0
        d: int = 0
        e: int = 0
        f: int = 0
        g: int = 0
        h: int = 0
        i: int = 0

    class Flags(RandomCodes):
        Settings = Many

    with pytest.raises(promises.ContractError, match="9 fields; at most 8"):
        promises.CHECKS["it_says_what_it_is"](Flags)
