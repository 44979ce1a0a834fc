"""Vectors and sequences through the stages: what works on them, and what says why it does not."""

import numpy as np
import pytest
import torch

from collapsebench.job import runner
from collapsebench.plan import resolve
from collapsebench.plan.grid import Point
from collapsebench.results import tables
from collapsebench.settings import RECONSTRUCTED
from tests.conftest import ALL, TINY

RNG = np.random.default_rng(5)
ROWS = RNG.normal(size=(90, 4)) @ RNG.normal(size=(4, 12)) + 2
SMALL = {"mlp.width": 16, "conv1d.width": 8, "conv1d.residual_width": 4}


@pytest.fixture
def job(tmp_path, data_root):
    """``job(array, method="vq_vae")`` -> a job of all stages on an array."""

    def make(array, method="vq_vae", **settings):
        np.save(tmp_path / "rows.npy", array)
        settings = TINY | SMALL | {"data.path": str(tmp_path / "rows.npy")} | settings
        point = Point(method, "", "vectors", 8, 4, 42, settings)
        return resolve.resolve(point, ALL, "demo", data_root)

    return make


def rows(results, metric):
    """Split -> value of a metric."""
    frame = tables.read(results, "metrics")
    return frame[frame["metric"] == metric].set_index("split")["value"].to_dict()


def test_a_vector_is_a_token_and_has_no_prior(job, workspace, tmp_path):
    work = workspace(job(ROWS, "rq_vae", **{"rq_vae.depth": 3}), tmp_path / "r")
    assert runner.run(work) == "incompatible"
    runs = tables.read(tmp_path / "r", "runs").set_index("stage")
    assert runs.loc["prior", "message"] == "vectors have no stage prior, only train, encode"
    assert runs.loc["train", "network"] == "mlp"
    tokens = np.concatenate([work.tokens(split) for split in ("train", "val", "test")])
    assert tokens.shape == (90, 1, 1, 3)
    train = work.tokens("train").reshape(-1, 3)
    different = len({tuple(row) for row in train.tolist()})
    assert rows(work.results, "collision_rate")["train"] == pytest.approx(
        1 - different / len(train)
    )
    assert set(rows(work.results, "bits_per_item").values()) == {9.0}
    items = work.items
    with torch.no_grad():
        x_hat = items.form.stored(work.model(items.form.batch(torch.from_numpy(items.test[:])))[0])
    error = ((x_hat - items.test) ** 2).sum() / (items.test**2).sum()
    assert rows(work.results, "normalised_error")["test"] == pytest.approx(error, rel=1e-5)
    shown = np.load(work.folder / RECONSTRUCTED)
    assert np.allclose(shown, [items.test, x_hat], atol=1e-6)
    assert rows(work.results, "mse") == {}


def test_sequences_have_a_prior_and_no_samples(job, workspace, tmp_path):
    sequences = ROWS[:60].reshape(60, 6, 2)
    work = workspace(job(sequences), tmp_path / "r")
    assert runner.run(work) == "incompatible"
    runs = tables.read(tmp_path / "r", "runs").set_index("stage")
    assert runs.loc["prior", "status"] == "done"
    said = "sequences have no stage sample, only train, encode, prior"
    assert runs.loc["sample", "message"] == said
    assert work.tokens("train").shape == (49, 1, 2)  # six positions, four a token
    assert rows(work.results, "nll").keys() == {"train", "val", "test"}
    assert np.load(work.folder / RECONSTRUCTED).shape == (2, 4, 6, 2)


def test_the_file_may_move_and_a_change_is_another_job(job, tmp_path):
    here, there, changed = tmp_path / "rows.npy", tmp_path / "moved.npy", tmp_path / "changed.npy"
    np.save(there, ROWS)
    np.save(changed, ROWS + 1)
    ids = [job(ROWS, **{"data.path": str(path)}).job_id for path in (here, there, changed)]
    assert ids[0] == ids[1] != ids[2]


def test_an_image_network_on_vectors_is_a_row_that_says_so(job, workspace, tmp_path, data_root):
    point = Point("vq_vae", "vqvae", "vectors", 8, 4, 1, {"data.path": str(tmp_path / "rows.npy")})
    np.save(tmp_path / "rows.npy", ROWS)
    made = resolve.resolve(point, ("train",), "demo", data_root)
    assert runner.run(workspace(made, tmp_path / "r")) == "incompatible"
    (message,) = tables.read(tmp_path / "r", "runs")["message"]
    assert message == "the network vqvae reads images, these are vectors"
