"""The network contract, and that any quantizer works on any family."""

import dataclasses

import pytest
import torch

from collapsebench.plan import registry
from collapsebench.quantizer import Incompatible, Quantizer

FAMILIES = [
    name
    for name in registry.names("networks")
    if not hasattr(registry.network_module(name), "reads")
]
SMALL = {"dalle": {"width": 8}, "vqvae": {"width": 8, "residual_width": 4}, "sqvae": {"width": 8}}


def build(name, image_size, out_channels, in_channels):
    """(encoder, decoder) of a family at a small width."""
    family = registry.load(registry.find("networks", name))
    settings = family.Settings(**SMALL[name])
    encoder = family.Encoder(image_size, out_channels, settings)
    return encoder, family.Decoder(image_size, in_channels, settings)


@pytest.mark.parametrize("image_size", [32, 64, 128])
@pytest.mark.parametrize("name", FAMILIES)
def test_shapes(name, image_size):
    encoder, decoder = build(name, image_size, 6, 4)
    side = image_size // 4
    assert encoder(torch.rand(2, 3, image_size, image_size)).shape == (2, 6, side, side)
    assert decoder(torch.randn(2, 4, side, side)).shape == (2, 3, image_size, image_size)


@pytest.mark.parametrize("name", FAMILIES)
def test_encoder_is_its_head_after_its_features(name):
    encoder, _ = build(name, 32, 6, 4)
    x = torch.rand(2, 3, 32, 32)
    encoder.eval()
    assert torch.equal(encoder(x), encoder.head(encoder.features(x)))
    assert encoder.head.weight.shape[0] == 6


@pytest.mark.parametrize("name", FAMILIES)
def test_input_images_are_left_alone(name):
    encoder, _ = build(name, 32, 6, 4)
    x = torch.rand(2, 3, 32, 32)
    before = x.clone()
    encoder(x)
    assert torch.equal(x, before)


@pytest.mark.parametrize("name", FAMILIES)
def test_sizes_that_do_not_halve_twice_are_refused(name):
    with pytest.raises(Incompatible, match="30 pixels do not divide by 4"):
        build(name, 30, 6, 4)


@pytest.mark.parametrize("name", FAMILIES)
def test_family_declares_itself(name):
    family = registry.load(registry.find("networks", name))
    known = {field.name for field in dataclasses.fields(family.Settings)}
    assert family.label
    assert family.implementation >= 1
    assert all(set(values) <= known for values in family.for_dataset.values())


@pytest.mark.parametrize("network", FAMILIES)
@pytest.mark.parametrize("name", registry.names("methods"))
def test_gradient_of_a_step_reaches_every_trainable_part(name, network):
    torch.manual_seed(0)
    method = registry.only_subclass(registry.find("methods", name), Quantizer)
    quantizer = method(*method.tiny(), method.Settings())
    quantizer.anneal(torch.tensor(5_000.0))
    encoder, decoder = build(network, 32, quantizer.encoder_channels, method.tiny()[1])
    x = torch.rand(4, 3, 32, 32)
    output = quantizer(encoder(x))
    loss = quantizer.reconstruction_loss(decoder(output.z_q), x) + output.loss
    loss.backward()
    assert loss.isfinite()
    for module in (encoder, decoder, quantizer):
        for parameter in module.parameters():
            assert parameter.grad is not None
            assert parameter.grad.isfinite().all()
