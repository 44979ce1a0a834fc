import pytest
import torch

from collapsebench.networks import vqvae
from collapsebench.quantizer import Incompatible


def count(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("width", "residual", "encoder", "decoder"),
    [(128, 32, 0.37e6, 0.23e6), (256, 256, 2.4e6, 1.9e6)],
)
def test_networks_have_about_the_published_number_of_parameters(width, residual, encoder, decoder):
    settings = vqvae.Settings(width=width, residual_width=residual, residual="zalando")
    assert count(vqvae.Encoder(32, 16, settings)) == pytest.approx(encoder, rel=0.07)
    assert count(vqvae.Decoder(32, 16, settings)) == pytest.approx(decoder, rel=0.07)


@pytest.mark.parametrize(("flavour", "skip"), [("sonnet", -2.0), ("zalando", 0.0)])
def test_flavour_decides_what_the_skip_carries(flavour, skip):
    block = vqvae.Block(vqvae.Settings(width=4, residual_width=2, residual=flavour))
    block.out.weight.data.zero_()
    if block.out.bias is not None:
        block.out.bias.data.zero_()
    output = block(torch.full((1, 4, 2, 2), -2.0))
    assert torch.equal(output, torch.full((1, 4, 2, 2), skip))


def test_odd_width_is_refused():
    with pytest.raises(Incompatible, match="width 7: must be even"):
        vqvae.Decoder(32, 8, vqvae.Settings(width=7))
