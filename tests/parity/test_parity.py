"""Given the same inputs, weights and noise, ours gives what the official code gave."""

import pytest

from .cases import CASES


@pytest.mark.parametrize("case", CASES)
def test_every_quantity_agrees_with_the_official_code(case):
    compared = list(CASES[case]())
    assert len(compared) > 1
    assert {c.quantity: c.deviation for c in compared if not c.agrees()} == {}
