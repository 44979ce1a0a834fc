"""Whole jobs of level 1: what they notice, one planted fault at a time."""

import shutil
import tempfile
from contextlib import nullcontext

import numpy as np
import pytest

from collapsebench.check import jobs
from collapsebench.check.records import compare
from collapsebench.check.run import Request, check
from collapsebench.results import baselines, tables
from collapsebench.results.folder import ROWS
from collapsebench.settings import STAGES
from tests.check.planting import listed, plant
from tests.conftest import some_of


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """A folder with the jobs of level 1, done, and the records of them."""
    folder = tmp_path_factory.mktemp("level1")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tempfile, "TemporaryDirectory", lambda: nullcontext(folder))
        return folder, jobs.computed()


@pytest.fixture(scope="module")
def finished(computed):
    return computed[0]


@pytest.fixture
def again(finished, tmp_path):
    """``again("encode, seed 42")`` runs one stage of a job anew and says what level 1 finds."""
    stored = jobs.read(baselines.file(jobs.FILE))

    def run(where):
        stage, name = where.split(", ")
        folder = shutil.copytree(finished, tmp_path / "copy")
        shutil.rmtree(folder / "results" / "cache")
        if stage == "train":
            shutil.rmtree(folder / "data")
        workspace = jobs.queued(folder)[name]
        for later in STAGES[STAGES.index(stage) :]:
            for place in (folder / "results", workspace.folder / ROWS):  # the job's own copies, too
                for path in place.glob(f"*/{workspace.job.job_id}.{later}.*"):
                    path.unlink()
        jobs.work(workspace, (stage,))
        (finding,) = compare(1, stored, {where: jobs.record(workspace, stage)}, jobs.RTOL)
        return finding

    return run


def test_an_unchanged_package_passes_levels_0_and_1(computed, monkeypatch, tmp_path):
    monkeypatch.setattr(jobs, "computed", lambda: computed[1])
    found = check((0, 1), Request("ci", tmp_path))
    assert [f for f in found if f.verdict != "ok"] == []
    assert {"edvae", "fidelity", "prior", "last temperature"} <= {f.subject for f in found}
    assert {"score, seed 1773", "encode, other choices"} <= {f.subject for f in found}


def test_a_stage_done_again_is_ok(again):
    assert again("encode, other choices").verdict == "ok"


PLANTED = some_of(
    listed(), lambda f: f.where.partition(",")[0], lambda f: f"{f.where}: {f.what}", count=3
)


@pytest.mark.parametrize("fault", PLANTED)
def test_a_fault_planted_in_a_stage_is_caught(monkeypatch, again, fault):
    plant(monkeypatch, fault.module, fault.right, fault.wrong)
    finding = again(fault.where)
    assert finding.verdict == "worse", finding.text
    assert "runs message" not in finding.text  # it runs, and its numbers are wrong


def test_a_stage_that_fails_says_why(monkeypatch, again):
    plant(monkeypatch, "job.stages", "metrics.ceilings(", "metrics.ceiling(")
    finding = again("encode, seed 42")
    assert finding.text.startswith("runs message[0] is \"AttributeError: module 'collapsebench")


def test_every_row_is_compared(finished):
    workspace = jobs.queued(finished)["seed 42"]
    compared = {stage: set(jobs.record(workspace, stage).values) for stage in STAGES}
    metrics, curves = (
        tables.read(finished / "results", table, jobs={workspace.job.job_id}).to_dict("records")
        for table in ("metrics", "curves")
    )
    for row in metrics:
        assert f"metrics {row['metric']} {row['split']} value" in compared[row["stage"]]
    for row in curves:
        assert f"curves {row['metric']} value" in compared[row["stage"]]
    assert {"codes test counts", "tokens-test.npy", "reconstructions.png"} <= compared["encode"]
    assert {"protocols k", "neighbours.png", "runs split_hash"} <= compared["score"]


def test_the_images_tell_channels_splits_and_order_apart(finished):
    images = jobs.queued(finished)["seed 42"].items
    splits = [images.train, images.val, images.test]
    assert [len(split) % 32 for split in splits] == [10, 22, 2]  # no multiple of any batch
    pixels = np.concatenate(splits)
    assert len({image.tobytes() for image in pixels}) == 770
    assert len(set(pixels.std(axis=(0, 1, 2)).round())) == 3
    across, down = (np.abs(np.diff(pixels.astype(int), axis=axis)).mean() for axis in (2, 1))
    assert across > 1.05 * down  # a ramp along the columns
