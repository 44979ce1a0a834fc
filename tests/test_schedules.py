import math

import pytest
import torch

from collapsebench import schedules


def at(t):
    return torch.tensor(float(t))


@pytest.mark.parametrize(
    ("t", "expected"), [(0, 0.0), (2_500, 1 - math.sqrt(0.5)), (5_000, 1.0), (9_000, 1.0)]
)
def test_quarter_cosine_by_hand(t, expected):
    assert schedules.quarter_cosine(at(t), 0.0, 1.0, 5_000).item() == pytest.approx(expected)


@pytest.mark.parametrize(("t", "expected"), [(0, 1e-3), (25_000, 7.07e-4), (45_000, 1.57e-4)])
def test_quarter_cosine_gives_the_learning_rates_of_the_specification(t, expected):
    lr = schedules.quarter_cosine(at(t), 1e-3, 1.25e-6, 50_000)
    assert lr.item() == pytest.approx(expected, rel=5e-3)


def test_quarter_cosine_is_exact_in_float32_at_its_flat_start():
    value = schedules.quarter_cosine(at(1), 0.0, 1.0, 5_000).item()
    assert value == pytest.approx((math.pi / 2 / 5_000) ** 2 / 2, rel=1e-6)


@pytest.mark.parametrize(("t", "expected"), [(0, 1.0), (25, 0.75**0.5 / 2 + 0.5), (75, 0.5)])
def test_half_cosine_by_hand(t, expected):
    # at a sixth of the way cos is sqrt(3) / 2, half-way it is 0
    assert schedules.half_cosine(at(t), 1.0, 0.0, 150).item() == pytest.approx(expected)


def test_half_cosine_ends_and_stays_at_the_end():
    assert schedules.half_cosine(at(150), 1.0, 0.25, 150).item() == pytest.approx(0.25)
    assert schedules.half_cosine(at(900), 1.0, 0.25, 150).item() == pytest.approx(0.25)


@pytest.mark.parametrize(("t", "expected"), [(0, 1.0), (50_000, 0.607), (150_000, 0.223)])
def test_temperature_of_the_paper(t, expected):
    assert schedules.exponential(at(t)).item() == pytest.approx(expected, abs=5e-4)


def test_results_keep_the_type_and_shape_of_t():
    t = torch.tensor(3.0, dtype=torch.float64)
    for value in (schedules.exponential(t), schedules.quarter_cosine(t, 0.0, 1.0, 5)):
        assert value.dtype == torch.float64
        assert value.shape == ()
