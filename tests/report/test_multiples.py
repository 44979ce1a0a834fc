"""Panels of lines: together under a legend, or apart by groups with names at their ends."""

import itertools
from dataclasses import dataclass

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from collapsebench.report import multiples, style
from collapsebench.report.multiples import Panel, spread
from collapsebench.report.palette import METHODS, Look


@dataclass(frozen=True)
class Method:
    label: str
    kind: str
    look: Look
    level: float


PAPER = [Method(f"p{i}", "paper", look, 1.0 + 0.01 * i)
         for i, look in enumerate(list(METHODS.values())[:6])]  # fmt: skip
MODERN = [
    Method(f"m{i}", "modern", look, 5.0) for i, look in enumerate(list(METHODS.values())[6:15])
]


def line(ax, method):
    style.series(ax, method, [1, 2], [0.5, method.level])


def panel(title="T", ends=True):
    return Panel(title, "x", "y", line, style.positive_y, ends)


@pytest.fixture(autouse=True)
def styled():
    with matplotlib.rc_context():
        style.apply_style()
        yield


def draw(columns, methods):
    drawing = multiples.draw(columns, methods, 2.0)
    drawing.settle()
    return drawing


def own(ax):
    return [line.get_label() for line in multiples._lines(ax)]


@pytest.mark.parametrize(
    ("wanted", "gap", "places"),
    [
        ([0.2, 0.8], 0.1, [0.2, 0.8]),
        ([0.5, 0.5], 0.1, [0.45, 0.55]),
        ([0.0, 0.0, 0.9], 0.2, [0.0, 0.2, 0.9]),
        ([0.9, 1.0, 0.1], 0.2, [0.8, 1.0, 0.1]),
        ([0.5, 0.5, 0.5], 0.6, [0.0, 0.6, 1.2]),  # no room
    ],
)
def test_names_are_spread_by_hand(wanted, gap, places):
    assert np.allclose(spread(np.array(wanted), gap), places)


def test_a_few_methods_share_panels_under_one_legend():
    drawing = draw([[panel("A")], [panel("B")]], PAPER)
    assert len(drawing.axes) == 2
    assert [ax.get_title() for ax in drawing.axes] == ["A", "B"]
    assert all(own(ax) == [method.label for method in PAPER] for ax in drawing.axes)
    (legend,) = drawing.legends
    assert [text.get_text() for text in legend.get_texts()] == [m.label for m in PAPER]


def test_many_get_a_panel_a_group_with_the_others_grey_behind():
    drawing = draw([[panel(), panel()]], [*PAPER, *MODERN])
    assert len(drawing.axes) == 6  # paper, modern 1 of 2, modern 2 of 2; two quantities each
    assert [len(own(ax)) for ax in drawing.axes] == [6, 6, 5, 5, 4, 4]
    for ax in drawing.axes:
        grey = [line for line in ax.get_lines() if line.get_color() == style.GHOST]
        assert len(grey) == 15 - len(own(ax))
    assert not drawing.legends


def test_each_group_has_the_limits_of_its_own_lines():
    drawing = draw([[panel()]], [*PAPER, *MODERN])
    paper, *modern = [ax.get_ylim() for ax in drawing.axes]
    assert paper == pytest.approx((0, 1.1 * 1.05))  # the others, up to 5, are cut
    for limits in modern:
        assert limits == pytest.approx((0.5 / 1.3, 5 * 1.3))  # a decade: logarithmic


def test_names_stand_beside_lines_that_end_together_without_covering_each_other():
    drawing = draw([[panel()]], [*PAPER, *MODERN])
    renderer = FigureCanvasAgg(drawing).get_renderer()
    for ax in drawing.axes:
        boxes = [text.get_window_extent(renderer) for text in ax.texts]
        assert [text.get_text() for text in ax.texts] == own(ax)
        assert all(box.x0 > ax.bbox.x1 and box.x1 < drawing.bbox.x1 for box in boxes)
        assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def test_names_keep_the_order_of_their_lines():
    ax = draw([[panel()]], [*PAPER, *MODERN]).axes[0]
    heights = [text.xy[1] for text in ax.texts]
    assert heights == sorted(heights)  # p0 ends lowest, p5 highest


def test_names_of_lines_that_end_in_one_point_are_listed_by_height():
    def rising(ax, method):
        style.series(ax, method, [1, 2, 3], [0.0, method.level, 1.0], markers=False)

    listed = Panel("T", "x", "y", rising, style.positive_y, ends=False)
    ax = draw([[listed]], [*PAPER, *MODERN]).axes[0]
    heights = np.array([text.xy[1] for text in ax.texts])
    assert (np.diff(heights) > 0).all()
    assert np.mean(heights) == pytest.approx(0.5, abs=1e-4)


def test_what_leads_to_a_name_is_dotted_since_it_is_not_measured():
    axes = draw([[panel()]], [*PAPER, *MODERN]).axes
    signs = [part for ax in axes for part in ax.get_children() if part.get_label() == "_sign"]
    ways = [part for part in signs if part.get_linewidth() == 0.5]
    assert [way.get_gid() for way in ways] == [f"series:{m.label}" for m in [*PAPER, *MODERN]]
    assert all(way.is_dashed() for way in ways)


def test_groups_share_limits_along_x_where_only_the_lowest_have_numbers():
    def ending(ax, method):
        style.series(ax, method, [1, 2 if method.kind == "paper" else 3], [0.5, method.level])

    axes = draw([[Panel("T", "x", "y", ending, style.positive_y)]], [*PAPER, *MODERN]).axes
    left, right = axes[0].get_xlim()
    assert 0.8 < left < 1 < 3 < right < 3.2
    assert {ax.get_xlim() for ax in axes} == {(left, right)}


def test_many_methods_on_several_datasets_are_a_figure_each():
    def figures(methods):
        forms = {"": lambda title: [panel(title)]}
        return multiples.figures("f", "Title", "Caption.", ["A", "B"], methods, forms, 2.0)

    assert [figure.name for figure in figures(PAPER)] == ["f"]
    assert [(figure.name, figure.title) for figure in figures([*PAPER, *MODERN])] == [
        ("f-1", "Title, A"), ("f-2", "Title, B"),
    ]  # fmt: skip
    assert figures([]) == []


def test_points_of_collapsed_cells_are_outlines():
    _, axes = style.panels(1, 1, 2.0)
    style.series(axes[0, 0], PAPER[0], [1, 2, 3], [4.0, 5.0, 6.0], hollow=[False, True, False])
    line, outline = axes[0, 0].get_lines()
    assert line.get_markevery() == [0, 2]
    assert outline.get_xydata().tolist() == [[2, 5]]
    assert outline.get_markerfacecolor() == style.PAPER
    assert outline.get_markeredgecolor() == PAPER[0].look.color


@pytest.mark.parametrize(
    ("values", "scale", "low"), [((2.0, 9.0), "linear", 0.0), ((2.0, 21.0), "log", 2 / 1.3)]
)
def test_an_axis_is_logarithmic_from_a_decade_on(values, scale, low):
    _, axes = style.panels(1, 1, 2.0)
    axes[0, 0].plot([1, 2], values)
    style.positive_y(axes[0, 0])
    assert axes[0, 0].get_yscale() == scale
    assert axes[0, 0].get_ylim()[0] == pytest.approx(low)
