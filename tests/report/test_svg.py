"""Figures on the page: short, and the same picture as matplotlib's own."""

import json
import re

import matplotlib
import numpy as np
import pytest

from collapsebench.report import style
from collapsebench.report.svg import _path, to_svg

STEP = re.compile(r"-?\d*\.?\d+")


def places(data):
    """A path of M and l, in the short form, as (n, 2) places."""
    found = []
    for command, numbers in re.findall(r"([Ml])([^Ml]*)", data):
        pair = np.array(STEP.findall(numbers), float)
        found.append(pair if command == "M" else found[-1] + pair)
    return np.array(found)


def test_a_path_keeps_its_places_however_long():
    given = np.cumsum(np.random.default_rng(0).normal(0, 0.037, (3000, 2)), axis=0) + 40
    text = "M " + " \nL ".join(f"{x:.6f} {y:.6f}" for x, y in given)
    short = _path(text)
    assert np.abs(places(short) - given).max() < 0.0101
    assert len(short) < len(text) / 2


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("M 0 3.5 \nL -0.5 3.5 \nz", "M0 3.5l-.5 0z"),
        ("M 100.004 20 \nL 100 20.006", "M100 20l0 .01"),
        ("M 1 1 \nQ 2.125 0.5 3 1 \nL 4 2 \nM 9 9 \nL 9 8", "M1 1Q2.12 .5 3 1l1 1M9 9l0-1"),
    ],
)
def test_a_path_by_hand(text, short):
    assert _path(text) == short


@pytest.fixture
def drawn():
    """The same line in two panels, another in the first; hover values of it."""
    with matplotlib.rc_context():
        style.apply_style()
        canvas, ((left, right),) = style.panels(1, 2, 1.5)
        x = np.linspace(0, 1, 60)
        for ax in (left, right):
            ax.plot(x, x**2, color="#4477aa")
            ax.set(xlim=(0, 1), ylim=(0, 1))
        left.plot(x, x**3, color="#4477aa")
        canvas.remember(left, "a <b>", [0.5], [0.25], ["a <b> · step 5: 0.25"])
        return to_svg(canvas, "drawn")


def test_a_line_that_is_drawn_again_is_written_once(drawn):
    lines = re.findall(r'<path [^>]*d="M[\d. ]+l[^"]{200,}"', drawn.markup)
    assert len(lines) == 2
    (use,) = re.findall(r'<use xlink:href="#drawn.line0" x="([\d.]+)" y="(-?0.00)"/>', drawn.markup)
    clips = re.findall(r'<rect x="([\d.]+)"', drawn.markup)
    assert float(use[0]) == pytest.approx(float(clips[1]) - float(clips[0]), abs=0.02)


def test_hover_values_name_their_series_once(drawn):
    ((series, ((_, _, words),)),) = json.loads(drawn.points)
    assert (series, words) == ("a <b>", " · step 5: 0.25")
    assert "<" not in drawn.points  # it stands in a script element


def test_a_long_label_keeps_both_ends():
    assert style.short("x" * 30) == "x" * 30
    label = "A method with a name of many words weight=0.25"
    assert style.short(label) == "A method with a…ds weight=0.25"
    assert style.short(label, 11) == "A met…=0.25"


def test_labels_that_would_be_written_alike_keep_what_tells_them_apart():
    labels = [
        "Rotation trick codebook=gradient",
        "Rotation trick estimator=straight_through codebook=gradient",
        "VQ-VAE",
    ]
    assert {style.short(label) for label in labels} == {"Rotation trick …ebook=gradient", "VQ-VAE"}
    assert [style.short(label, beside=labels) for label in labels] == [
        "Rotation trick c…book=gradient",
        "Rotation trick e…book=gradient",
        "VQ-VAE",
    ]
    alike = [f"a method of many words x={x} and further settings y=2" for x in (1, 2)]
    assert [style.short(label, beside=alike) for label in alike] == [
        "a method of many words x=1…y=2",
        "a method of many words x=2…y=2",
    ]
    apart = ["x" * 30 + "1" + "y" * 30, "x" * 30 + "2" + "y" * 30]
    assert len({style.short(label, beside=apart) for label in apart}) == 2
