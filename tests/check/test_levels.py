"""Levels 2 and 3 on rows as runs leave them."""

import numpy as np
import pytest

from collapsebench.check import freeze
from collapsebench.check import frozen as level2
from collapsebench.check import paper as level3
from collapsebench.check.run import Request, check
from collapsebench.settings import UserError
from tests.report.made_up import MadeUp
from tests.report.made_up_grids import tables

OLD, NEW = tuple(range(10)), (101, 102, 103)
STAGES = ("train", "encode")


def spread(mean, n, shift=0):
    """``n`` values around a mean, 1 % apart from each other in all."""
    return [mean * (1 + 0.01 * np.sin(7 * i + shift)) for i in range(n)]


def grid(results, seeds, mse=0.01, shift=0, **changes):
    methods = changes.pop("methods", ("edvae", "dvae"))
    fixed = {
        (method, "digits", metric, "test"): spread(mean, len(seeds), shift)
        for method in methods
        for metric, mean in (("mse", mse), ("perplexity", 40.0))
    }
    return MadeUp(
        results, name="ci", methods=methods, seeds=seeds, stages=STAGES, values=fixed, files=False,
        **changes,
    ).write()  # fmt: skip


@pytest.fixture(scope="module")
def baselines(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frozen")
    freeze.freeze("ci", "ci", grid(folder / "results", OLD), folder / "baselines")
    return folder / "baselines"


def words(findings):
    return {finding.subject: finding.verdict for finding in findings}


def test_other_seeds_of_the_same_are_ok(tmp_path, baselines):
    found = words(level2.run("ci", grid(tmp_path, NEW, shift=1), baselines))
    assert found == {
        f"{label} · digits · 64×8 · {metric}": "ok"
        for label in ("EdVAE", "dVAE")
        for metric in ("perplexity", "mse")
    }


def test_a_worse_error_is_worse(tmp_path, baselines):
    found = words(level2.run("ci", grid(tmp_path, NEW, mse=0.012, shift=1), baselines))
    assert found["EdVAE · digits · 64×8 · mse"] == "worse"
    assert found["EdVAE · digits · 64×8 · perplexity"] == "ok"


def test_a_missing_cell_is_loud(tmp_path, baselines):
    found = words(level2.run("ci", grid(tmp_path, NEW, methods=("edvae",)), baselines))
    assert found["dVAE · digits · 64×8 · mse"] == "nothing measured"
    assert found["EdVAE · digits · 64×8 · mse"] == "ok"


def test_a_grid_that_was_not_run_is_nothing_measured(tmp_path, baselines):
    (finding,) = level2.run("ci", tmp_path, baselines)
    assert finding.verdict == "nothing measured"
    assert finding.text.endswith("collapsebench run --grid ci")


def test_the_frozen_rows_are_no_measurement_of_themselves(tmp_path, baselines):
    (finding,) = level2.run("ci", grid(tmp_path, OLD), baselines)
    assert finding.verdict == "nothing measured"
    assert "the frozen ones themselves" in finding.text


def test_a_seed_that_newly_diverges_is_worse_and_one_that_fails_is_missing(tmp_path, baselines):
    ends = {
        ("edvae", "digits", 101): ("train", "diverged", "loss is nan"),
        ("dvae", "digits", 102): ("train", "error", "boom"),
    }
    found = words(level2.run("ci", grid(tmp_path, NEW, ends=ends), baselines))
    assert found["EdVAE · digits · 64×8 · diverged"] == "worse"
    assert found["dVAE · digits · 64×8 · error"] == "nothing measured"


def test_level_3_says_reproduced_differs_and_other_schedule(tmp_path):
    fixed = {
        ("edvae", "cifar10", "perplexity_batch_mean", "test"): [420.0, 421.0, 420.5],
        ("dvae", "cifar10", "perplexity_batch_mean", "test"): [400.0, 401.0, 402.0],
    }
    results = tables(
        tmp_path / "full", methods=("edvae", "dvae"), datasets=("cifar10",), values=fixed,
        seeds=(42, 1773, 1), files=False,
    ).write()  # fmt: skip
    found = {f.subject: f for f in level3.run(results)}
    edvae = found["EdVAE · cifar10 · 512×16 · perplexity (Table 1)"]
    assert edvae.verdict == "ok"
    assert "± 5.5 (printed ± 4.49, ddof 0)" in edvae.text  # 4.49 x sqrt(3/2)
    assert edvae.text.endswith("reproduced")
    assert found["dVAE · cifar10 · 512×16 · perplexity (Table 1)"].verdict == "worse"

    short = tables(
        tmp_path / "short", methods=("edvae",), datasets=("cifar10",), values=fixed, files=False,
        train={"steps": 600, "horizon": 600, "ramp": 150000},
    ).write()  # fmt: skip
    for finding in level3.run(short):
        assert finding.verdict == "can't tell"
        assert "other schedule (600 steps" in finding.text


def test_level_3_of_a_part_of_a_dataset_is_no_verdict(tmp_path):
    results = tables(
        tmp_path, methods=("edvae",), datasets=("cifar10_5k",), seeds=(42, 1773, 1), files=False
    ).write()
    found = [f for f in level3.run(results) if f.verdict != "nothing measured"]
    assert {f.verdict for f in found} == {"can't tell"}
    assert all("other data (a part of cifar10), so the difference" in f.text for f in found)


def test_level_3_without_a_printed_number_is_nothing_measured(tmp_path):
    (finding,) = level3.run(grid(tmp_path, NEW))
    assert finding.verdict == "nothing measured"


@pytest.mark.parametrize(
    ("metric", "label", "method", "same"),
    [
        ("perplexity", "", {"clamp": 20.0}, True),
        ("perplexity", "clamp=10", {"clamp": 10.0}, False),
        ("perplexity[clamp=10]", "clamp=10", {"clamp": 10.0}, True),
        ("perplexity[clamp=20]", "", {"clamp": 20.0}, True),
        ("perplexity[clamp=20]", "beta=1", {"clamp": 20.0}, False),
        ("perplexity[temperature=2]", "", {"clamp": 20.0}, False),
    ],
)
def test_a_number_of_a_varied_setting_stands_beside_that_setting_only(metric, label, method, same):
    job = {"settings_label": label, "settings": {"method": method}}
    assert level3.trained_so(job, metric) == same


def test_levels_run_in_the_order_asked_for(tmp_path, baselines):
    request = Request("ci", grid(tmp_path, NEW), given=baselines)
    assert [f.level for f in check((2, 0), request)][::4][:2] == [2, 0]
    with pytest.raises(UserError, match="unknown level 7; known: 0, 1, 2, 3"):
        check((7,), request)
