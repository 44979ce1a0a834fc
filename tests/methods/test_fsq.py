import math

import pytest
import torch

from collapsebench.methods.fsq import FSQ, possible
from collapsebench.quantizer import Incompatible
from collapsebench.settings import UserError, build
from tests.parity.recorded import Recorded, grads


def lattice(levels):
    """The method with these levels."""
    settings = FSQ.Settings(levels=levels)
    ((size, dim),) = FSQ.sizes(settings).items()
    return FSQ(size, dim, settings)


def column(*values):
    """One vector, (1, D, 1, 1)."""
    return torch.tensor(values).view(1, -1, 1, 1)


def test_forward_by_hand():
    # L = 5: h = 1.998, 1.998 tanh(1) = 1.52, rounds to 2 of 2
    # L = 4: h = 1.4985, s = tan(0.33367) = 0.34663, 1.4985 tanh(-0.15337) - 0.5 = -0.728 -> -1 of 2
    output = lattice("5,4")(column(1.0, -0.5))
    assert output.z_q.flatten().tolist() == [1.0, -0.5]
    assert output.tokens.item() == (2 + 2) + 5 * (-1 + 2)
    assert output.loss.item() == 0.0
    saturation = (math.tanh(1) + 0.72796 / 1.4985) / 2
    assert output.terms["saturation"].item() == pytest.approx(saturation, rel=1e-4)


def test_gradient_is_that_of_the_bounding_function():
    z_e = column(0.3, -0.7).requires_grad_()
    lattice("5,4")(z_e).z_q.backward(column(1.0, 10.0))
    first = 1.998 * (1 - math.tanh(0.3) ** 2) / 2
    second = 1.4985 * (1 - math.tanh(-0.7 + math.tan(0.5 / 1.4985)) ** 2) / 2
    assert z_e.grad.flatten().tolist() == pytest.approx([first, 10 * second], rel=1e-5)


def test_halves_round_to_the_even_level():
    quantizer = lattice("7,7,7,7")
    quantizer.reach.copy_(torch.tensor([0.5, 1.5, 2.5, 2.5]))  # what far vectors reach
    output = quantizer(column(50.0, 50.0, 50.0, -50.0))
    assert (3 * output.z_q).flatten().tolist() == pytest.approx([0.0, 2.0, 2.0, -2.0])


@pytest.mark.parametrize(
    ("level", "values"),
    [
        (2, [-1.0, 0.0]),
        (3, [-1.0, 0.0, 1.0]),
        (4, [-1.0, -0.5, 0.0, 0.5]),
        (5, [-1.0, -0.5, 0.0, 0.5, 1.0]),
        (8, [-1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75]),
    ],
)
def test_values_of_odd_and_even_levels(level, values):
    line = torch.linspace(-9, 9, 2001).view(1, 1, 1, -1)
    output = lattice(str(level))(line)
    assert output.z_q.unique().tolist() == values
    assert output.tokens.unique().tolist() == list(range(level))


def test_zero_is_the_middle_of_odd_levels_and_just_below_zero_bounded_of_even_ones():
    output = lattice("5,8")(torch.zeros(1, 2, 1, 1))
    assert output.z_q.flatten().tolist() == [0.0, 0.0]
    assert output.tokens.item() == 2 + 5 * 4


def test_first_dimension_of_a_token_is_the_fastest():
    codes = lattice("3,5,4").embed(torch.arange(60).view(1, 1, 60))[0, :, 0].t()
    assert codes[:4].tolist() == [[-1, -1, -1], [0, -1, -1], [1, -1, -1], [-1, -0.5, -1]]
    assert codes[15].tolist() == [-1, -1, -0.5]
    assert codes[59].tolist() == [1, 1, 0.5]


KNOWN = {
    240: (8, 6, 5),
    1000: (8, 5, 5, 5),
    4375: (7, 5, 5, 5, 5),
    15360: (8, 8, 8, 6, 5),
    64000: (8, 8, 8, 5, 5, 5),
    64: (8, 8),
    128: (8, 4, 4),
    256: (8, 8, 4),
    512: (8, 8, 8),
    1024: (8, 8, 4, 4),
    2048: (8, 8, 8, 4),
    4096: (8, 8, 8, 8),
    16384: (8, 8, 8, 8, 4),
    65536: (8, 8, 8, 8, 4, 4),
}


def test_known_sizes_are_the_papers_and_powers_of_two():
    assert possible("") == KNOWN


@pytest.mark.parametrize(("size", "levels"), KNOWN.items())
def test_every_code_of_a_known_size_is_reached_once(size, levels):
    quantizer = FSQ(size, len(levels), FSQ.Settings())
    codes = quantizer.embed(torch.arange(size).view(1, 1, size))
    places = (codes[0, :, 0].t() * torch.tensor([level // 2 for level in levels])).round()
    assert len(places.unique(dim=0)) == size
    assert [len(values.unique()) for values in places.t()] == list(levels)


def test_64000_codes_are_told_apart_by_their_tokens():
    quantizer = FSQ(64000, 6, FSQ.Settings())
    z_e = 2 * torch.randn(4, 6, 32, 32, generator=torch.Generator().manual_seed(0))
    output = quantizer.eval()(z_e)
    assert torch.equal(quantizer.embed(output.tokens), output.z_q)
    assert output.tokens.max() > 2**15


@pytest.mark.parametrize(
    ("spread", "low", "high"), [(0.5, 0.18, 0.4), (1.0, 0.9, 0.96), (2.0, 0.54, 0.65)]
)
@pytest.mark.parametrize("size", [240, 1000])
def test_evenness_is_a_matter_of_scale(size, spread, low, high):
    dim = FSQ.dim_for(size)
    z_e = spread * torch.randn(1, dim, 400, 500, generator=torch.Generator().manual_seed(0))
    tokens = FSQ(size, dim, FSQ.Settings())(z_e).tokens
    shares = torch.bincount(tokens.flatten(), minlength=size) / tokens.numel()
    perplexity = torch.special.entr(shares).sum().exp().item()
    assert low <= perplexity / size <= high


def test_popular_port_gives_another_token_now_and_then():
    port, official = Recorded("fsq_lucidrains_S"), Recorded("fsq_S")
    z_e = port["z_e"].requires_grad_()
    output = FSQ(240, 3, FSQ.Settings())(z_e)
    (gradient,) = grads(output.z_q, port["upstream"], z_e)
    assert torch.equal(z_e, official["z_e"])
    assert (output.tokens != port["indices"]).sum() == 1  # of 32
    assert 1e-3 < (gradient - port["grad_z_e_from_zq_0"]).abs().max() < 1e-2


def test_levels_written_out_decide_the_size():
    assert FSQ.dim_for(60, FSQ.Settings(levels="3, 5,4")) == 3
    with pytest.raises(
        Incompatible, match="FSQ cannot have 512 codes; the nearest it can have: 60"
    ):
        FSQ(512, 3, FSQ.Settings(levels="3,5,4"))


@pytest.mark.parametrize("levels", ["8,x", "8,,5", "8,1", "-8,5", "8;5", "0"])
def test_bad_levels_end_as_one_clear_line(levels):
    with pytest.raises(UserError, match="must be whole numbers from 2 on, like 8,5,5,5") as error:
        build(FSQ.Settings, {"levels": levels}, "method")
    assert "\n" not in str(error.value)
    assert levels in str(error.value)


def test_nothing_is_learned_and_no_codebook_exists():
    quantizer = FSQ(512, 3, FSQ.Settings())
    assert list(quantizer.parameters()) == []
    assert quantizer.codes() is None
    assert quantizer.posterior(torch.zeros(1, 3, 1, 1)) is None
