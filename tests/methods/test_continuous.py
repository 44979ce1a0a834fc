import pytest
import torch

from collapsebench.methods.continuous import Continuous
from collapsebench.quantizer import Incompatible


def test_decoder_sees_the_encoder_output(z_e):
    output = Continuous(512, 2, Continuous.Settings())(z_e)
    assert output.z_q is z_e
    assert output.loss.item() == 0.0
    assert output.tokens.tolist() == [[[0, 0]]]


def test_it_says_that_it_has_no_codes():
    quantizer = Continuous(512, 2, Continuous.Settings())
    assert quantizer.codebooks == 0
    assert quantizer.codes() is None
    with pytest.raises(Incompatible, match="no codebook"):
        quantizer.embed(torch.zeros(1, 2, 2, dtype=torch.int64))
