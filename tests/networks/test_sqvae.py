import pytest
import torch
from torch import nn

from collapsebench.networks import sqvae
from collapsebench.quantizer import Incompatible


def count(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("image_size", "code_dim", "blocks", "encoder", "decoder"),
    [
        (32, 16, 2, 10_168, 10_123),
        (32, 64, 2, 154_336, 154_147),
        (64, 64, 6, 319_584, 278_179),
    ],
    ids=["CIFAR10, D 16", "CIFAR10, D 64", "CelebA, D 64"],
)
def test_literal_reading_has_the_official_number_of_parameters(
    image_size, code_dim, blocks, encoder, decoder
):
    settings = sqvae.Settings(width=0, blocks=blocks)
    assert count(sqvae.Encoder(image_size, code_dim, settings)) == encoder
    assert count(sqvae.Decoder(image_size, code_dim, settings)) == decoder


def test_free_width_adds_one_convolution_on_each_side():
    settings = sqvae.Settings(width=64)
    assert count(sqvae.Encoder(32, 16, settings)) == 154_336 + 64 * 16 + 16
    assert count(sqvae.Decoder(32, 16, settings)) == 154_147 + 64 * 16 + 64


def test_decoder_is_bounded_by_zero_and_one():
    decoder = sqvae.Decoder(32, 4, sqvae.Settings(width=8))
    images = decoder(1e3 * torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0)))
    assert images.min() >= 0
    assert images.max() <= 1


def test_weights_start_as_in_the_official_code():
    torch.manual_seed(0)
    encoder = sqvae.Encoder(32, 16, sqvae.Settings())
    convolutions = [m.weight.flatten() for m in encoder.modules() if isinstance(m, nn.Conv2d)]
    scales = [m.weight for m in encoder.modules() if isinstance(m, nn.BatchNorm2d)]
    assert torch.cat(convolutions).std().item() == pytest.approx(0.02, rel=0.02)
    assert torch.cat(scales).mean().item() == pytest.approx(1.0, abs=0.005)
    assert torch.cat(scales).std().item() == pytest.approx(0.02, rel=0.15)


def test_celeba_and_lsun_take_six_blocks():
    assert sqvae.for_dataset == {"celeba": {"blocks": 6}, "lsun_church": {"blocks": 6}}


def test_odd_width_is_refused():
    with pytest.raises(Incompatible, match="width 5: must be even"):
        sqvae.Encoder(32, 5, sqvae.Settings(width=0))
