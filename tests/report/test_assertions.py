"""Published claims: which cells they are about, and what an interval says of them."""

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from collapsebench.plan import registry
from collapsebench.report.assertions import (
    ASSERTIONS,
    CONTRADICTED,
    LEAST,
    MOST,
    SUPPORTED,
    Assertion,
    judged,
)
from collapsebench.report.data import ReportData
from collapsebench.report.views import assertions as view
from collapsebench.stats import CANT_TELL
from tests.report.made_up import MadeUp
from tests.report.made_up_grids import of_lengths


def assertion(least=0.0, most=math.inf, **names):
    return Assertion(
        "it is so", "somebody", "", "mse", names.get("a", {}), names.get("b", {}), least, most
    )


@pytest.mark.parametrize(
    ("least", "most", "low", "high", "verdict"),
    [
        (1, math.inf, 1.1, 1.4, SUPPORTED),
        (1, math.inf, 0.7, 0.9, CONTRADICTED),
        (1, math.inf, 0.9, 1.1, CANT_TELL),
        (1, math.inf, 0.97, 1.03, CONTRADICTED),  # the same is not more
        (0, 1, 0.97, 1.03, CONTRADICTED),  # nor less
        (0, 1, 0.5, 0.9, SUPPORTED),
        (0.99, math.inf, 1.0, 1.0, SUPPORTED),
        (0.99, math.inf, 0.97, 1.0, CANT_TELL),
        (0.99, math.inf, 0.5, 0.9, CONTRADICTED),
        (1 / 1.2, 1.2, 0.9, 1.1, SUPPORTED),
        (1 / 1.2, 1.2, 1.3, 4.0, CONTRADICTED),
        (1 / 1.2, 1.2, 0.9, 1.3, CANT_TELL),
        (1, math.inf, math.nan, math.nan, CANT_TELL),
    ],
)
def test_an_interval_supports_contradicts_or_cannot_tell(least, most, low, high, verdict):
    assert assertion(least, most).verdict(low, high) == verdict


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What is said of four methods at one size, whose numbers are known."""
    folder = tmp_path_factory.mktemp("assertions")
    values = {
        ("kmeans", "digits", "mse", "test"): [2.0, 2.1, 2.2],
        ("vq_reset", "digits", "mse", "test"): [1.0, 1.02, 1.04],
        ("vq_vae", "digits", "mse", "test"): [1.01, 1.03, 1.04],
        ("cvq_vae", "digits", "usage", "test"): [1.0, 1.0, 1.0],
    }
    made = MadeUp(folder, methods=("vq_vae", "vq_reset", "cvq_vae", "kmeans"), values=values)
    return {one.assertion.words: one for one in judged(ReportData("demo", made.write()))}


def test_only_assertions_with_cells_are_asked(found):
    assert list(found) == [
        "CVQ-VAE uses all codes",
        "Codes found by clustering afterwards rebuild worse than trained ones",
    ]


def test_a_share_has_the_t_interval_of_its_seeds(found):
    one = found["CVQ-VAE uses all codes"]
    assert (one.low, one.high, one.verdict) == (1.0, 1.0, SUPPORTED)


def test_a_ratio_is_of_geometric_means_at_a_level_for_one_claim(found):
    one = found["Codes found by clustering afterwards rebuild worse than trained ones"]
    a, b = np.log(one.values(one.a)), np.log(one.values(one.b))
    assert math.sqrt(one.low * one.high) == pytest.approx(math.exp(a.mean() - b.mean()))
    error = math.sqrt(a.var(ddof=1) / 3 + b.var(ddof=1) / 3)
    widest = scipy_stats.t.ppf(1 - 0.05 / 2, df=2) * error  # nothing borrowed
    assert one.low > 1.5
    assert math.log(one.high / one.low) <= 2 * widest
    assert one.verdict == SUPPORTED


def test_a_claim_of_several_cells_is_wrong_of_none_of_them_at_its_level(tmp_path):
    usage = [0.96, 0.97, 0.98]
    for sizes, interval in [(1, 0.05), (2, 0.025)]:
        folder = tmp_path / str(sizes)
        made = MadeUp(folder, methods=("cvq_vae",), sizes=((64, 8), (16, 8))[:sizes],
                      values={("cvq_vae", "digits", "usage", "test"): usage})  # fmt: skip
        lines = judged(ReportData("demo", made.write()))
        half = scipy_stats.t.ppf(1 - interval / 2, df=2) * 0.01 / math.sqrt(3)
        assert [one.low for one in lines] == pytest.approx([0.97 - half] * sizes)


def test_one_seed_tells_nothing(tmp_path):
    made = MadeUp(tmp_path, methods=("kmeans", "vq_reset", "fsq"), seeds=(42,))
    lines = judged(ReportData("demo", made.write()))
    assert [(one.verdict, one.why) for one in lines] == [(CANT_TELL, "one seed")] * 2


def test_the_rotation_is_asked_about_under_equal_rules(tmp_path):
    rules = [("ema", 0.8), ("ema", 0.99), ("gradient", 0.8)]
    settings = [
        {"estimator": estimator, "codebook": codebook, "decay": decay}
        for estimator in ("straight_through", "rotation")
        for codebook, decay in rules
    ]
    made = MadeUp(tmp_path, methods=("rotation_vq",), settings={"rotation_vq": settings})
    lines = judged(ReportData("demo", made.write()))
    assert len(lines) == 3
    for one, (codebook, decay) in zip(lines, rules, strict=True):
        of_a, of_b = (dict(group.first.settings["method"]) for group in (one.a, one.b))
        assert (of_a.pop("estimator"), of_b.pop("estimator")) == ("rotation", "straight_through")
        assert of_a == of_b == {"codebook": codebook, "decay": decay}


def test_putting_codes_back_is_asked_of_one_method_with_it_and_without(tmp_path):
    settings = {"vq_reset": [{"threshold": 1.0}, {"threshold": 0.0}]}
    made = MadeUp(tmp_path, methods=("vq_reset", "vq_vae"), settings=settings)
    lines = judged(ReportData("demo", made.write()))
    assert [one.assertion.quantity for one in lines] == ["perplexity", "mse"]
    sides = [(side.first.method, side.first.settings["method"]["threshold"])
             for one in lines for side in (one.a, one.b)]  # fmt: skip
    assert sides == [("vq_reset", 1.0), ("vq_reset", 0.0)] * 2


def test_of_several_sizes_the_ends_are_compared(tmp_path):
    made = MadeUp(tmp_path, methods=("vq_vae",), sizes=((16, 8), (64, 8), (256, 8), (64, 2)))
    lines = judged(ReportData("demo", made.write()))
    ends = [(one.a.first.codebook_size, one.a.code_dim, one.b.first.codebook_size, one.b.code_dim)
            for one in lines]  # fmt: skip
    assert ends == [(256, 8, 16, 8), (64, 2, 64, 8)]


def test_settings_other_than_the_default_do_not_stand_for_a_method(tmp_path):
    made = MadeUp(tmp_path, methods=("fsq",), settings={"fsq": [{"levels": "4,4,4"}]})
    assert judged(ReportData("demo", made.write())) == []


def test_every_assertion_names_methods_and_settings_that_there_are():
    for one in ASSERTIONS:
        for where in (one.a, one.b):
            method = registry.method_class(where["method"]) if where else None
            names = {n for n, v in where.items() if v not in (LEAST, MOST)} - {"method"}
            for name in names:
                assert hasattr(method.Settings(), name), f"{one.words}: {name}"


def test_the_table_says_verdict_and_print_side_by_side(tmp_path):
    half = {(m, "digits", "usage", "test"): [0.5, 0.51, 0.52] for m in ("cvq_vae", "sim_vq")}
    made = MadeUp(tmp_path, methods=("cvq_vae", "sim_vq"), values=half)
    (table,) = view.build(ReportData("demo", made.write()))
    assert table.columns == view.COLUMNS
    assert [row.cells[4].main for row in table.rows] == ["100 %", "100 %"]
    assert all(str(row.cells[0].main) == CONTRADICTED for row in table.rows)
    assert (
        view.build(ReportData("demo", MadeUp(tmp_path / "none", methods=("dvae",)).write())) == []
    )


def test_cells_of_one_size_in_several_places_say_where_they_are(tmp_path):
    of_lengths(tmp_path, 600, 1200, methods=("cvq_vae", "fsq"))
    (table,) = view.build(ReportData("demo", tmp_path))
    cells = [row.cells[-1].main for row in table.rows]
    assert cells == [
        "CVQ-VAE 64\u00a0×\u00a08 (digits, 600 steps)",
        "CVQ-VAE 64\u00a0×\u00a08 (digits, 1200 steps)",
        "FSQ 64\u00a0×\u00a03 (digits, 600 steps)",
        "FSQ 64\u00a0×\u00a03 (digits, 1200 steps)",
    ]


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.0, "< 0.01"), (0.01, "0.01"), (1.234, "1.23"), (1000, "1000.00"), (1e12, "> 1000"),
     (math.inf, "> 1000")],
)  # fmt: skip
def test_what_says_nothing_of_a_ratio_is_not_printed_to_the_last_digit(value, said):
    assert view.ratio(value) == said
