"""Given the same inputs, weights and noise, ours gives what the official code gave."""

import functools
import re
from pathlib import Path

import pytest

from .cases import CASES
from .recorded import Compared
from .table import markdown

PAGE = Path(__file__).parents[2] / "docs" / "parity.md"


@functools.cache
def compared(case: str) -> tuple[Compared, ...]:
    """What a case compares, computed once for both tests."""
    return tuple(CASES[case]())


@pytest.mark.parametrize("case", CASES)
def test_every_quantity_agrees_with_the_official_code(case):
    assert len(compared(case)) > 1
    assert {c.quantity: c.deviation for c in compared(case) if not c.agrees()} == {}


def test_the_page_names_every_quantity_and_its_source():
    def named(text):  # without the deviations, whose last digit is the processor's
        return re.findall(r"^\| (.+? \| .+?) \|", text, re.MULTILINE)

    assert named(PAGE.read_text()) == named(markdown([c for case in CASES for c in compared(case)]))
