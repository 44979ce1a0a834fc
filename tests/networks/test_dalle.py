import pytest
import torch

from collapsebench.networks import dalle
from collapsebench.quantizer import Incompatible


def count(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(("kernel", "parameters"), [(3, 2_559_808), (7, 2_575_168)])
def test_encoder_has_the_official_number_of_parameters(kernel, parameters):
    assert count(dalle.Encoder(32, 512, dalle.Settings(kernel=kernel))) == parameters


def test_decoder_has_the_official_number_of_parameters():
    assert count(dalle.Decoder(32, 16, dalle.Settings())) == 2_627_907


def test_official_weights_have_a_standard_deviation_of_two_hundredths():
    encoder = dalle.Encoder(32, 64, dalle.Settings(width=64))
    assert encoder.head.weight.std().item() == pytest.approx(0.02, rel=0.05)
    other = dalle.Encoder(32, 64, dalle.Settings(width=64, init="torch"))
    assert other.head.weight.std().item() == pytest.approx((1 / 256 / 3) ** 0.5, rel=0.05)


def test_block_by_hand():
    # All weights 0 but the last bias: the path is that bias, the skip the input.
    settings = dalle.Settings(width=4, gain=0.5)
    block = dalle.Block(4, 4, (3, 3, 3, 1), settings)
    for parameter in block.parameters():
        parameter.data.zero_()
    block.path[-1].bias.data.fill_(6.0)
    x = torch.full((1, 4, 2, 2), -2.0)
    assert torch.equal(block(x), torch.full((1, 4, 2, 2), 1.0))


def test_table_c5_reading_widens_the_blocks():
    block = dalle.Block(8, 8, (3, 3, 3, 1), dalle.Settings(width=8, bottleneck=1))
    assert [conv.out_channels for conv in block.path[1::2]] == [8, 8, 8, 8]


def test_lsun_takes_the_larger_first_kernel():
    assert dalle.for_dataset == {"lsun_church": {"kernel": 7}}


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"width": 6}, "width 6 / bottleneck 4"), ({"kernel": 4}, "kernel 4: must be odd")],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(Incompatible, match=message):
        dalle.Encoder(32, 8, dalle.Settings(**settings))
