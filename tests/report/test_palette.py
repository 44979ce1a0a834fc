"""Looks of methods: readable on both themes, apart from each other for every eye."""

import itertools

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from collapsebench.plan import registry
from collapsebench.report import kinds, palette
from collapsebench.report.palette import METHODS, NIGHT, OTHERS, WHITE, contrast, looks

# Machado, Oliveira & Fernandes 2009, table 1, severity 1.0: linear RGB as seen.
EYES = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                   [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                     [-0.011820, 0.042940, 0.968881]],
}  # fmt: skip
RGB_TO_LMS = np.array([[0.4122214708, 0.5363325363, 0.0514459929],
                       [0.2119034982, 0.6806995451, 0.1073969566],
                       [0.0883024619, 0.2817188376, 0.6299787005]])  # fmt: skip
LMS_TO_LAB = np.array([[0.2104542553, 0.7936177850, -0.0040720468],
                       [1.9779984951, -2.4285922050, 0.4505937099],
                       [0.0259040371, 0.7827717662, -0.8086757660]])  # fmt: skip


def seen(color, eye):
    """A colour in Oklab (Ottosson 2020), times 100, as an eye sees it."""
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    lms = RGB_TO_LMS @ np.clip(np.array(EYES[eye]) @ linear, 0, 1)
    return 100 * LMS_TO_LAB @ np.cbrt(lms)


def distance(a, b, eye="normal"):
    return float(np.linalg.norm(seen(a, eye) - seen(b, eye)))


def smallest(colors, eyes):
    pairs = itertools.combinations(colors, 2)
    return min(distance(a, b, eye) for a, b in pairs for eye in eyes)


def test_contrast_by_hand():
    assert contrast("#000000", "#ffffff") == 21
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)  # known from WCAG


def test_every_shipped_method_has_a_look():
    assert set(METHODS) == set(registry.names("methods"))


def test_the_papers_six_keep_their_hues_and_markers():
    six = [METHODS[name] for name in list(METHODS)[:6]]
    assert "".join(look.marker for look in six) == "os^DvP"
    assert [six[i].color for i in (0, 2, 4, 5)] == ["#4477AA", "#228833", "#EE6677", "#AA3377"]
    for look, bright in ((six[1], "#66CCEE"), (six[3], "#CCBB44")):  # too light on white
        (_, *ours), (_, *tols) = seen(look.color, "normal"), seen(bright, "normal")
        assert abs(np.angle(complex(*ours) / complex(*tols), deg=True)) < 25


@pytest.mark.parametrize("look", [*METHODS.values(), *OTHERS], ids=str)
def test_lines_can_be_read_on_both_themes(look):
    settings = [look.variant(i, 5) for i in range(5)]
    for each in (look, *settings):
        assert contrast(each.color, WHITE) >= 3
        assert contrast(each.at_night, NIGHT) >= 3


def test_the_page_is_as_dark_as_the_palette_thinks():
    css = (palette.__file__.rpartition("/")[0]) + "/page.css"
    with open(css, encoding="utf-8") as file:
        text = file.read()
    assert f"--paper: {NIGHT};" in text
    assert f"--paper: {WHITE};" in text


def test_no_two_shipped_methods_share_marker_and_line():
    looked = [(look.marker, look.line) for look in METHODS.values()]
    assert len(set(looked)) == len(METHODS) == 24


def test_colours_stay_apart():
    everybody = [look.color for look in (*METHODS.values(), *OTHERS)]
    assert smallest(everybody, ["normal"]) > 7


@pytest.mark.parametrize("part", [0, 1])
def test_colours_of_a_panel_stay_apart_for_every_eye(part):
    modern = [name for name in METHODS if kinds.shipped_kind(name) == "modern"]
    half = modern[:8] if part == 0 else modern[8:]
    assert smallest([METHODS[name].color for name in half], EYES) > 11
    assert smallest([METHODS[name].at_night for name in half], EYES) > 7


def test_users_colours_stay_apart_for_every_eye():
    assert smallest([look.color for look in OTHERS], EYES) > 11


def test_every_user_method_has_a_look_of_its_own():
    names = [f"mine_{i:02}" for i in range(20)]
    found = looks(["edvae", *names])
    assert found["edvae"] is METHODS["edvae"]
    assert len(set(found.values())) == 21
    assert looks(names[:1])[names[0]] == OTHERS[0]


def test_settings_of_a_method_differ_in_tone_and_line():
    shades = [METHODS["edvae"].variant(i, 4) for i in range(4)]
    assert len({look.color for look in shades}) == len({look.line for look in shades}) == 4
    assert METHODS["edvae"].variant(0, 1) is METHODS["edvae"]
