"""What freezing keeps, and what it refuses."""

import functools
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from collapsebench import report
from collapsebench.check import freeze, jobs, tensors
from collapsebench.check import trajectories as level1
from collapsebench.results import baselines, tables
from collapsebench.settings import UserError
from tests.report.made_up import MadeUp


def made_up(results, **changes):
    facts = {"stages": ("train", "encode", "prior"), "methods": ("edvae", "dvae"), "points": 60}
    return MadeUp(results, **facts | changes)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return made_up(tmp_path_factory.mktemp("made_up") / "results").write()


@pytest.fixture(scope="module")
def frozen(results, tmp_path_factory):
    """The folder of the results' baseline."""
    return freeze.freeze("mine", "demo", results, tmp_path_factory.mktemp("baselines"))


def test_rows_are_kept_as_they_were(results, frozen):
    before, after = tables.read(results, "metrics"), tables.read(frozen, "metrics")
    key = ["job_id", "stage", "metric", "split"]
    before, after = (f.sort_values(key).reset_index(drop=True) for f in (before, after))
    pd.testing.assert_frame_equal(before, after, check_dtype=False)  # a column lost its nulls
    assert set(tables.read(frozen, "runs")["stage"]) == {"train", "encode", "prior"}


def test_a_tag_is_a_results_folder_that_can_be_reported(results, frozen, tmp_path):
    for rows, out in ((results, "before"), (frozen, "after")):
        report.build("demo", rows, tmp_path / out, to=("csv",))
    tables = sorted((tmp_path / "before").rglob("table*.csv"))
    assert len(tables) > 1
    for table in tables:
        again = tmp_path / "after" / table.relative_to(tmp_path / "before")
        assert again.read_text() == table.read_text()


def test_curves_are_thinned_and_end_where_they_ended(results, frozen):
    before, after = tables.read(results, "curves"), tables.read(frozen, "curves")
    key = ["job_id", "metric"]
    counts = after.groupby(key)["step"].size()
    assert counts.max() == 30  # every second of 60
    last = before[before["stage"] == "train"].groupby(key)["step"].max()
    assert (after.groupby(key)["step"].max() == last).all()


def test_counts_are_those_of_the_test_split_and_images_of_one_seed(frozen):
    assert set(tables.read(frozen, "codes")["split"]) == {"test"}
    images = list(frozen.glob("jobs/*/reconstructions.png"))
    assert len(images) == 2  # one for each of two cells
    assert sum(path.stat().st_size for path in images) <= freeze.IMAGES_BYTES


def test_manifest_says_where_the_rows_come_from(frozen):
    found = baselines.manifest(frozen)
    assert found["commands"][0] == "collapsebench run --grid demo"
    assert (found["jobs"], found["seeds"], found["grid"]) == (6, [1, 42, 1773], "demo")
    assert found["versions"] == [{"python": "3.11.7", "torch": "2.11.0"}]
    assert found["hardware"] == ["a processor"]
    assert set(found["sensitivity"]) == {"perplexity", "mse"}
    assert f"metrics/{frozen.name}.parquet" in found["files"]


def test_freezing_again_replaces_the_whole(results, tmp_path):
    out = tmp_path / "baselines"
    stray = freeze.freeze("mine", "demo", results, out) / "jobs" / "stray.png"
    stray.write_bytes(b"x")
    freeze.freeze("mine", "demo", results, out)
    assert not stray.exists()
    assert [path.name for path in out.iterdir()] == ["mine"]


def test_an_incomplete_grid_is_refused(tmp_path):
    ends = {
        ("edvae", "digits", 42): ("encode", None, ""),
        ("dvae", "digits", 1): ("train", "error", "boom"),
    }
    results = made_up(tmp_path / "results", ends=ends).write()
    with pytest.raises(UserError, match=r"2 of 6 jobs .* run first: collapsebench run --grid demo"):
        freeze.freeze("mine", "demo", results, tmp_path / "baselines")
    assert not (tmp_path / "baselines").exists()


def test_a_diverged_seed_is_a_result_and_frozen(tmp_path):
    ends = {("edvae", "digits", 42): ("train", "diverged", "loss is nan")}
    results = made_up(tmp_path / "results", ends=ends).write()
    folder = freeze.freeze("mine", "demo", results, tmp_path / "baselines")
    assert baselines.manifest(folder)["statuses"] == {"done": 15, "diverged": 1}


@pytest.mark.parametrize(
    ("table", "column"), [("runs", "data_hash"), ("runs", "precision"), ("metrics", "protocol")]
)
def test_rows_that_were_not_made_alike_are_refused(results, tmp_path, table, column):
    results = shutil.copytree(results, tmp_path / "results")
    path = next(p for p in sorted((results / table).glob("*.parquet")) if ".encode." in p.name)
    frame = pd.read_parquet(path)
    frame[column] = "another"
    frame.to_parquet(path)
    with pytest.raises(UserError, match=f"cannot freeze: .* mixes {column} .*another"):
        freeze.freeze("mine", "demo", results, tmp_path / "baselines")


def test_a_tag_is_a_plain_name(results, tmp_path):
    with pytest.raises(UserError, match=r"'\.\./x' cannot name a baseline"):
        freeze.freeze("../x", "demo", results, tmp_path)


def test_trajectories_refuse_a_change_without_a_bump(tmp_path, monkeypatch):
    monkeypatch.setattr(level1, "shipped", lambda: ["edvae"])  # one method is enough, and quick
    monkeypatch.setattr(jobs, "computed", dict)
    for level in (tensors, level1):  # the same numbers each time that they are asked for
        monkeypatch.setattr(level, "computed", functools.cache(level.computed))
    shipped = json.loads(Path(baselines.file("trajectories.json")).read_text())
    shipped["edvae"]["loss"][3] += 1e-3
    (tmp_path / "trajectories.json").write_text(json.dumps(shipped))
    with pytest.raises(UserError, match=r"edvae: numbers changed, the implementation did not"):
        freeze.trajectories(tmp_path)
    shipped["edvae"]["implementation"] = "method 0, network 1, train 1, encode 1"
    (tmp_path / "trajectories.json").write_text(json.dumps(shipped))
    freeze.trajectories(tmp_path)
    again = json.loads((tmp_path / "trajectories.json").read_text())
    assert again["edvae"]["implementation"].startswith("method 1")
    assert np.isclose(again["edvae"]["loss"][3], shipped["edvae"]["loss"][3] - 1e-3)
    assert again["prior"] == shipped["prior"]  # what agrees stays, to the last digit
