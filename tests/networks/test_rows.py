"""Networks for vectors and sequences: shapes at any length, and who reads what."""

import pytest
import torch

from collapsebench.job.model import build
from collapsebench.networks import conv1d, mlp, vqvae
from collapsebench.plan import registry
from collapsebench.quantizer import Incompatible


def test_a_layer_of_the_mlp_sees_one_position():
    encoder = mlp.Encoder((9, 5), 6, mlp.Settings(width=8))
    x = torch.randn(2, 5, 1, 9)
    alone = encoder(x[..., 3:4])
    assert encoder(x).shape == (2, 6, 1, 9)
    assert torch.allclose(encoder(x)[..., 3:4], alone, atol=1e-6)
    assert torch.equal(encoder(x), encoder.head(encoder.features(x)))


def test_an_mlp_without_hidden_layers_is_linear():
    decoder = mlp.Decoder((5,), 3, mlp.Settings(layers=0))
    z = torch.randn(4, 3, 1, 1)
    layer = decoder.layers[-1]
    expected = z[..., 0, 0] @ layer.weight.t() + layer.bias
    assert torch.allclose(decoder(z)[..., 0, 0], expected, atol=1e-6)


@pytest.mark.parametrize(("length", "positions"), [(4, 1), (37, 10), (40, 10)])
def test_a_sequence_of_any_length_comes_back(length, positions):
    settings = conv1d.Settings(width=8, residual_width=4)
    encoder = conv1d.Encoder((length, 5), 6, settings)
    decoder = conv1d.Decoder((length, 5), 6, settings)
    z = encoder(torch.randn(2, 5, 1, length))
    assert z.shape == (2, 6, 1, positions)
    assert decoder(z).shape == (2, 5, 1, length)
    assert encoder.head.weight.shape[0] == 6


def test_without_halvings_each_position_has_a_token():
    settings = conv1d.Settings(width=8, residual_width=4, halvings=0)
    z = conv1d.Encoder((7, 5), 6, settings)(torch.randn(2, 5, 1, 7))
    assert z.shape == (2, 6, 1, 7)
    assert conv1d.Decoder((7, 5), 6, settings)(z).shape == (2, 5, 1, 7)


@pytest.mark.parametrize(
    ("family", "size", "reason"),
    [
        (mlp, 32, "the network mlp reads vectors and sequences, these are images"),
        (conv1d, (64,), "the network conv1d reads sequences, these are vectors"),
        (vqvae, (64,), "the network vqvae reads images, these are vectors"),
        (conv1d, (3, 64), "halves the length 2 times, this one is 3"),
    ],
)
def test_items_that_a_network_cannot_read_are_incompatible(family, size, reason):
    method = registry.method_class("vq_vae")
    with pytest.raises(Incompatible, match=reason):
        build(
            method, family, image_size=size, codebook_size=8, code_dim=4,
            method_settings=method.Settings(), network_settings=family.Settings(), seed=0,
        )  # fmt: skip
