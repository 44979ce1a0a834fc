"""Groups of methods: their order, and when a table or a figure is divided."""

from dataclasses import dataclass

import pytest

from collapsebench.report import kinds


@dataclass(frozen=True)
class Method:
    name: str
    kind: str


def of(**counts):
    return [Method(f"{kind}{i}", kind) for kind, n in counts.items() for i in range(n)]


def test_users_come_first_then_the_paper_modern_ones_and_floors():
    methods = [("floor", "kmeans"), ("modern", "bsq"), ("user", "zz"), ("paper", "edvae"),
               ("user", "aa"), ("modern", "vq_vae"), ("paper", "vq_vae_ema"),
               ("modern", "from_elsewhere")]  # fmt: skip
    ordered = [method for _, method in sorted(methods, key=lambda m: kinds.place(*m))]
    assert ordered == ["aa", "zz", "vq_vae_ema", "edvae", "vq_vae", "bsq", "from_elsewhere",
                       "kmeans"]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "kind"),
    [("edvae", "paper"), ("fsq", "modern"), ("random_codes", "floor"), ("somebodys", "modern")],
)
def test_the_kind_of_a_method_known_by_name_only(method, kind):
    assert kinds.shipped_kind(method) == kind


def test_few_or_of_one_kind_are_not_grouped():
    assert list(kinds.grouped(of(paper=6, floor=2))) == [""]
    assert list(kinds.grouped(of(modern=15))) == [""]
    assert list(kinds.grouped([*of(paper=9), Method("a row of no method", "")])) == [""]


def test_many_are_grouped_in_order():
    found = kinds.grouped(of(floor=2, user=1, paper=6))
    assert {name: len(group) for name, group in found.items()} == {
        "Your methods": 1, "The paper’s methods": 6, "Floors": 2,
    }  # fmt: skip


def test_a_panel_takes_no_more_than_eight():
    found = kinds.panels(of(paper=6, modern=15))
    assert {name: len(group) for name, group in found.items()} == {
        "The paper’s methods": 6, "Modern methods (1 of 2)": 8, "Modern methods (2 of 2)": 7,
    }  # fmt: skip
    assert [len(group) for group in kinds.panels(of(modern=17)).values()] == [6, 6, 5]
