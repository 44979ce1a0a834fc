"""Planted faults in tiny real trainings: the cause is named, and none in healthy ones."""

import pytest

from tests.monitor.planted import HEALTHY, PLANTED, train

SEEDS = range(10)
RIGHT = 9  # of ten seeds


def first_cause(plan, seed):
    found = train(plan, seed).readings[0].findings
    return found[0].cause if found else ""


@pytest.mark.parametrize("name", [*PLANTED, "healthy"])
def test_a_planted_cause_is_named(name):
    plan = (PLANTED | HEALTHY)[name]
    assert first_cause(plan, seed=0) == plan.cause


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_cause_is_named_in_nine_of_ten_seeds(name):
    named = [first_cause(PLANTED[name], seed) for seed in SEEDS]
    assert named.count(PLANTED[name].cause) >= RIGHT, named


@pytest.mark.slow
@pytest.mark.parametrize("name", HEALTHY)
def test_nothing_is_diagnosed_in_a_healthy_training(name):
    assert [first_cause(HEALTHY[name], seed) for seed in SEEDS] == [""] * len(SEEDS)
