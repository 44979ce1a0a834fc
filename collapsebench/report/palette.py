"""The look of every method: one colour, marker and line style, everywhere on a page and in print.

The paper's six have the colours of Paul Tol's "bright" scheme (personal.sron.nl/~pault), its cyan
and its yellow darkened until they can be read on white. The others were searched for: as far apart
as the room allows, for eyes with and without colour vision, within each group most of all. Marker
and line style tell every two shipped methods apart where colour does not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from matplotlib.colors import to_hex, to_rgb

WHITE, NIGHT = "#ffffff", "#14171d"  # what is drawn on: paper and the light page, the dark page
LEAST = 3.0  # contrast of a line with what it is drawn on (WCAG 2.2, 1.4.11)
LIGHTER = 0.3  # share of white in every colour on the dark page
VARIANT_LINES = ("-", "--", "-.", ":")


@dataclass(frozen=True)
class Look:
    """Colour on white, marker and line style of one method."""

    color: str
    marker: str | tuple[int, int, int]
    line: str = "-"

    @cached_property
    def at_night(self) -> str:
        """The colour on the dark page: somewhat lighter, and as light as it must be."""
        tones = (_mix(self.color, WHITE, share) for share in np.linspace(LIGHTER, 1))
        return next(tone for tone in tones if contrast(tone, NIGHT) >= LEAST)

    @property
    def variable(self) -> str:
        """The name of its colour on the page, where each theme gives it a value."""
        return f"--c{self.color[1:].lower()}"

    def variant(self, index: int, count: int) -> Look:
        """The look of one of a method's ``count`` settings: its colour from dark to light."""
        if index == 0 and count == 1:
            return self
        tones = (_mix(self.color, WHITE, share) for share in np.linspace(1, 0))
        lightest = next(tone for tone in tones if contrast(tone, WHITE) >= LEAST)
        tone = _mix(_mix(self.color, "#000000", 0.3), lightest, index / (count - 1))
        return Look(tone, self.marker, VARIANT_LINES[index % len(VARIANT_LINES)])


def _mix(color: str, other: str, share: float) -> str:
    red, green, blue = (1 - share) * np.array(to_rgb(color)) + share * np.array(to_rgb(other))
    return to_hex((red, green, blue))


def contrast(color: str, paper: str) -> float:
    """Contrast of two colours, from 1 to 21, as WCAG 2.2 defines it."""
    low, high = sorted((_luminance(color), _luminance(paper)))
    return (high + 0.05) / (low + 0.05)


def _luminance(color: str) -> float:
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


STAR = (4, 1, 0)  # a star of four points

METHODS = {  # in the order in which they stand within a group
    "vq_vae_ema": Look("#4477AA", "o"),
    "gs_vq_vae": Look("#2A9BC4", "s"),
    "sq_vae": Look("#228833", "^"),
    "vq_ste_pp": Look("#A39128", "D"),
    "dvae": Look("#EE6677", "v"),
    "edvae": Look("#AA3377", "P"),
    "vq_vae": Look("#8C6D4F", "X"),
    "vq_reset": Look("#1A94FA", "*"),
    "cosine_vq": Look("#7F3502", "<"),
    "cvq_vae": Look("#BC72AF", ">"),
    "rotation_vq": Look("#161AA2", "p"),
    "sim_vq": Look("#660B57", "d"),
    "nsvq": Look("#3C5BCC", "h"),
    "diveq": Look("#835080", STAR),
    "fsq": Look("#26A605", "o", "--"),
    "lfq": Look("#702EB3", "s", "--"),
    "bsq": Look("#6A74E4", "^", "--"),
    "ibq": Look("#24958D", "D", "--"),
    "rq_vae": Look("#64220A", "v", "--"),
    "entropy_vq": Look("#3F6C42", "P", "--"),
    "wasserstein_vq": Look("#4C2D65", "X", "--"),
    "random_codes": Look("#8A8F98", "d", ":"),
    "kmeans": Look("#5F646D", "p", "-."),
    "continuous": Look("#3A3F47", "h", ":"),
}
OTHERS = (
    Look("#F5630F", "*"),
    Look("#5C069A", "p"),
    Look("#D34D7F", "8"),
    Look("#994C21", "<"),
    Look("#A975FA", ">"),
    Look("#840443", "H"),
)


def looks(methods: Iterable[str]) -> dict[str, Look]:
    """Method id -> look: fixed for shipped methods, the next free one by name for others."""
    names = list(dict.fromkeys(methods))
    others = sorted(name for name in names if name not in METHODS)
    free = {name: _other(i) for i, name in enumerate(others)}
    return {name: METHODS.get(name) or free[name] for name in names}


def _other(i: int) -> Look:
    """The i-th look beyond those of shipped methods: six colours, then again in other lines."""
    turn, place = divmod(i, len(OTHERS))
    line = VARIANT_LINES[turn % len(VARIANT_LINES)]
    return Look(OTHERS[place].color, OTHERS[(i + turn) % len(OTHERS)].marker, line)
