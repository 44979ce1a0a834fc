"""Which rows stand on each side of a comparison, on the shipped baseline ``demo``."""

import json

import numpy as np
import pandas as pd
import pytest

from collapsebench.check.compare import compare
from collapsebench.check.sides import chosen, each, facts, kept, of_word, wish
from collapsebench.results import baselines
from collapsebench.settings import UserError

BASELINES = baselines.find("demo").parent


@pytest.fixture(scope="module")
def demo():
    return of_word("demo", BASELINES)


def geometric(rows, **wanted):
    for name, value in ({"metric": "mse", "split": "test"} | wanted).items():
        rows = rows[rows[name] == value]
    assert len(rows) == 3
    return np.exp(np.log(rows["value"]).mean())


def test_two_methods_meet_in_every_cell_each_on_its_own_network(demo):
    lines = compare("method=edvae", "method=vq_vae_ema", BASELINES, results="demo")
    assert {line.cell for line in lines} == {
        f"{dataset} · {size}×8" for dataset in ("digits", "patches") for size in (16, 64, 256)
    }
    (line,) = [x for x in lines if (x.cell, x.metric) == ("digits · 64×8", "mse")]
    rows = demo.metrics[
        (demo.metrics["dataset"] == "digits") & (demo.metrics["codebook_size"] == 64)
    ]
    assert line.a == pytest.approx(geometric(rows, method="edvae"))
    assert line.b == pytest.approx(geometric(rows, method="vq_vae_ema"))
    assert line.seeds == (3, 3)


def test_two_codebook_sizes_meet_method_by_method(demo):
    lines = compare("codebook_size=16", "codebook_size=64", BASELINES, results="demo")
    assert len({line.cell for line in lines}) == 12  # six methods, two datasets
    (line,) = [x for x in lines if (x.cell, x.metric) == ("EdVAE · digits · 16×8", "mse")]
    rows = demo.metrics[(demo.metrics["method"] == "edvae") & (demo.metrics["dataset"] == "digits")]
    assert line.change == pytest.approx(
        geometric(rows, codebook_size=16) / geometric(rows, codebook_size=64) - 1
    )


def test_a_wish_may_name_several_settings():
    assert wish("method=edvae, edvae.clamp=20") == {"method": "edvae", "edvae.clamp": 20}


def row(**changed):
    settings = {
        "method": {"kl": "stable", "clamp": 20.0},
        "network": {"width": 16},
        "train": {"steps": 5},
    }
    return {
        "method": "edvae", "network": "dalle", "dataset": "digits", "codebook_size": 64,
        "code_dim": 8, "settings": json.dumps(settings),
    } | changed  # fmt: skip


def test_settings_of_method_and_network_have_two_names():
    found = facts(row())
    assert found["edvae.kl"] == found["method.kl"] == "stable"
    assert found["dalle.width"] == found["network.width"] == 16


@pytest.mark.parametrize("name", ["edvae.kl", "method.kl"])
def test_a_free_setting_is_free_under_both_names(name):
    left = kept(facts(row()), {name})
    assert "edvae.kl" not in left
    assert "method.kl" not in left
    assert left["edvae.clamp"] == left["method.clamp"] == 20.0


def test_a_free_method_frees_its_settings_and_its_network():
    assert kept(facts(row()), {"method"}) == {
        "dataset": "digits", "codebook_size": 64, "code_dim": 8, "train.steps": 5
    }  # fmt: skip


def test_what_is_chosen_leaves_the_label(demo):
    labels = ["EdVAE clamp=9 kl=stable", "EdVAE"]
    rows = pd.DataFrame([row(job_id="a"), row(job_id="b")]).assign(label=labels)
    rows.loc[1, "settings"] = rows.loc[1, "settings"].replace("stable", "official")
    metrics = pd.DataFrame(
        {
            "job_id": ["a", "b"],
            "config_id": ["1", "2"],
            "label": labels,
        }
    )
    found = chosen(
        type(demo)("here", metrics, rows, {}),
        "edvae.kl=stable",
        {"edvae.kl": "stable"},
        {"edvae.kl"},
    )
    assert list(found.metrics["label"]) == ["EdVAE clamp=9"]


@pytest.mark.parametrize(
    ("a", "b", "line"),
    [
        ("method=evae", "method=dvae", "demo: no row has method=evae; there: dvae, edvae"),
        ("edvae.klamp=3", "edvae.clamp=20", "'edvae.klamp'; did you mean 'edvae.clamp'"),
        ("methd=edvae", "method=dvae", "no row has a setting 'methd'; did you mean 'method'"),
        ("method=", "method=dvae", "is not NAME=VALUE"),
        ("demo", "method=dvae", "tags or folders, or settings, not both"),
        ("dataset=digits", "method=dvae", "stands for 6 configurations"),
        ("method=edvae,network=sqvae", "method=dvae", "no rows with"),
    ],
)  # fmt: skip
def test_one_line_for_what_cannot_be_chosen(a, b, line):
    with pytest.raises(UserError, match=line):
        each((a, b), "demo", BASELINES)


@pytest.mark.parametrize("column", ["method", "network", "dataset", "codebook_size", "code_dim"])
def test_a_run_that_does_not_say_where_it_stands_is_of_no_cell(demo, column):
    rows = [demo.metrics.copy(), demo.runs.copy()]
    for frame in rows:
        frame.loc[frame["seed"] == 42, column] = None
    found = chosen(type(demo)("here", *rows, {}), "method=edvae", {"method": "edvae"}, {"method"})
    assert set(found.runs["seed"]) == set(demo.runs["seed"]) - {42}
    for frame in rows:
        frame[column] = None
    with pytest.raises(UserError, match="here: no run says what its settings are"):
        chosen(type(demo)("here", *rows, {}), "method=edvae", {"method": "edvae"}, {"method"})
