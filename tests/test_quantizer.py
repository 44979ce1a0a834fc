"""Sizes that are tied: which code dimension belongs to a codebook size, and what is refused."""

import pytest

from collapsebench.methods.bsq import BSQ
from collapsebench.methods.fsq import FSQ
from collapsebench.methods.lfq import LFQ
from collapsebench.methods.vq_vae import VQVAE
from collapsebench.quantizer import Incompatible, Quantizer


class Pairs(Quantizer):
    """Two codes for each dimension, up to five."""

    label = "pairs"

    @classmethod
    def sizes(cls, settings):
        return {2 * dim: dim for dim in range(1, 6)}


@pytest.mark.parametrize("size", [1, 12, 512])
def test_free_sizes_have_no_dimension_of_their_own(size):
    assert VQVAE.dim_for(size) is None
    assert VQVAE(size, 7, VQVAE.Settings()).code_dim == 7


@pytest.mark.parametrize("method", [LFQ, BSQ])
@pytest.mark.parametrize(("size", "dim"), [(2, 1), (8, 3), (512, 9), (65536, 16), (2**18, 18)])
def test_signs_have_as_many_dimensions_as_bits(method, size, dim):
    assert method.dim_for(size) == dim
    assert method(size, dim, method.Settings()).code_dim == dim


@pytest.mark.parametrize(
    ("size", "dim"), [(64, 2), (240, 3), (512, 3), (1000, 4), (1024, 4), (4375, 5), (64000, 6)]
)
def test_lattices_have_as_many_dimensions_as_levels(size, dim):
    assert FSQ.dim_for(size) == dim
    assert FSQ(size, dim, FSQ.Settings()).code_dim == dim


@pytest.mark.parametrize(
    ("method", "size", "dim"),
    [(LFQ, 3, 1), (LFQ, 500, 9), (BSQ, 0, 1), (BSQ, -7, 1), (FSQ, 8192, 5), (FSQ, 1, 2)],
)
def test_impossible_size_has_the_dimension_of_the_nearest_possible_one(method, size, dim):
    assert method.dim_for(size) == dim


@pytest.mark.parametrize(
    ("method", "size", "nearest"),
    [
        (LFQ, 500, "256, 512"),
        (BSQ, 1, "2"),
        (FSQ, 8192, "4375, 15360"),
        (FSQ, 32, "64"),
        (FSQ, 10**6, "65536"),
        (Pairs, 7, "6, 8"),
    ],
)
def test_impossible_size_is_refused_with_the_nearest_named(method, size, nearest):
    message = f"{method.label} cannot have {size} codes; the nearest it can have: {nearest}$"
    with pytest.raises(Incompatible, match=message):
        method(size, method.dim_for(size), method.Settings())


@pytest.mark.parametrize(
    ("method", "size", "right"), [(LFQ, 512, 9), (BSQ, 16, 4), (FSQ, 1000, 4), (Pairs, 8, 4)]
)
def test_dimension_of_another_size_is_refused_with_the_right_one_named(method, size, right):
    message = f"{method.label} of {size} codes has D = {right}, not 16"
    with pytest.raises(Incompatible, match=message):
        method(size, 16, method.Settings())


def test_contract_sizes_are_possible_ones():
    assert LFQ.tiny() == BSQ.tiny() == (8, 3)
    assert Pairs.tiny() == (8, 4)
    assert VQVAE.tiny() == (8, 4)
