"""What a GPU computes equals what a CPU does: skipped where there is none."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from collapsebench import ops
from collapsebench.check import trajectories
from collapsebench.fidelity import features, load_extractor
from collapsebench.job import encode, replay, train
from collapsebench.ops import noise
from collapsebench.plan import registry
from collapsebench.prior import sample, sample_naive
from collapsebench.settings import Train
from tests import commands
from tests.conftest import tiny_grid
from tests.job.test_train import fresh, images, losses, own
from tests.prior.test_sampling import random_model

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
WAITS = {  # method -> why its own arithmetic waits for the GPU in each step
    "nsvq": "looks at its count of updates",
    "diveq": "looks at its count of updates",
    "wasserstein_vq": "eigenvalues on a GPU come with a check on the host",
}
CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(scope="module")
def digits():
    return trajectories.images()


@pytest.mark.parametrize("method", trajectories.shipped())
def test_thirty_steps_and_what_they_encode_equal_a_cpus(method, digits, monkeypatch):
    drawn, draw = [], noise._draw

    def recorded(shape, sample):
        drawn.append(draw(shape, sample))
        return drawn[-1].clone()

    with monkeypatch.context() as patch:
        patch.setattr(noise, "_draw", recorded)
        curve, tokens = trained(method, digits, CPU)
    with ops.replayed_noise([each.to(GPU) for each in drawn]):
        on_gpu, tokens_on_gpu = trained(method, digits, GPU)
    assert [point[:2] for point in on_gpu] == [point[:2] for point in curve]
    values = [[value for *_, value in points] for points in (on_gpu, curve)]
    # Schedules are float32: their last bit differs between devices, and thirty steps magnify it.
    np.testing.assert_allclose(*values, rtol=1e-3, atol=1e-12)
    first = 3 * len({name for _, name, _ in curve})
    np.testing.assert_allclose(*(found[:first] for found in values), rtol=1e-6, atol=1e-12)
    np.testing.assert_array_equal(tokens_on_gpu, tokens)


def trained(method, digits, device):
    """(curve, tokens) of a level-1 training in float64."""
    model = trajectories.fresh(method, digits.shape[1])
    steps = trajectories.SHORTER.get(method, trajectories.STEPS)
    settings = dataclasses.replace(trajectories.TRAIN, steps=steps)
    curve = train.fit(model, digits, settings, seed=42, device=device).curve
    return curve, encode.encode(model, digits[:128], device=device).tokens


@pytest.mark.parametrize("method", sorted(set(registry.names("methods")) - set(WAITS)))
def test_no_step_but_a_point_of_the_curve_waits_for_the_gpu(method):
    # Four steps within one epoch and one point at their end; steps 2 and 3 are watched.
    settings, asked = Train(steps=4, horizon=4, batch_size=16, points=1), []

    def watched():
        asked.append(None)
        torch.cuda.set_sync_debug_mode("error" if len(asked) in (2, 3) else "default")
        return False

    try:
        train.fit(own(method), images(), settings, seed=0, device=GPU, stop=watched)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(asked) == 4


@pytest.mark.parametrize("method", sorted(set(registry.names("methods")) - set(WAITS)))
def test_a_recorded_step_is_the_ordinary_one(method, monkeypatch):
    settings = Train(steps=12, horizon=12, batch_size=16, points=12)

    def curve(ordinary):
        monkeypatch.setattr(replay, "ORDINARY", ordinary)
        network = own(method)
        assert network.recordable
        return losses(train.fit(network, images(), settings, seed=0, device=GPU).curve)

    np.testing.assert_allclose(curve(4), curve(12), rtol=1e-4)


def test_a_training_stopped_on_a_gpu_goes_on_with_its_noise(tmp_path):
    settings = Train(steps=12, horizon=12, batch_size=16, points=12)

    def curve(**options):
        model = fresh("gs_vq_vae")
        return losses(train.fit(model, images(), settings, seed=0, device=GPU, **options).curve)

    asked = []
    with pytest.raises(train.Interrupted):
        curve(checkpoint=tmp_path / "c", stop=lambda: asked.append(0) or len(asked) == 6)
    np.testing.assert_allclose(curve(checkpoint=tmp_path / "c"), curve(), rtol=1e-4)


@pytest.mark.parametrize("shape", [(4, 5), (3, 4, 2)], ids=str)
def test_samples_of_the_prior_equal_a_cpus(shape):
    on_cpu = sample(random_model(7, *shape), 50, seed=3, device=CPU)
    on_gpu = sample(random_model(7, *shape), 50, seed=3, device=GPU)
    np.testing.assert_array_equal(on_gpu, on_cpu)
    naive = sample_naive(random_model(7, *shape), 50, seed=3, device=GPU)
    np.testing.assert_array_equal(naive, on_cpu)


def test_features_of_images_equal_a_cpus():
    extractor = load_extractor("cb-randconv-v1")
    found = [features(images(8), extractor, device=name) for name in ("cuda", "cpu")]
    np.testing.assert_allclose(*found, atol=1e-5)


def test_a_grid_runs_through_all_stages_on_a_gpu(tmp_path, data_root):
    stages = 'stages = ["train", "encode", "prior", "sample", "score"]'
    text = tiny_grid("edvae").replace('stages = ["train", "encode"]', stages)
    short = (
        '[prior]\nepochs = 1\nchannels = 16\nblocks = 1\nlayers = 1\n\n[score]\nprotocol = "tiny"'
    )
    text = text.replace("[[override]]", f'{short}\nextractor = "cb-randconv-v1"\n\n[[override]]')
    (tmp_path / "tiny.toml").write_text(text)
    lines = ["run --grid tiny.toml --jobs-per-gpu 2 -y", "status"]
    printed = commands.call(lines, tmp_path, COLLAPSEBENCH_DATA=str(data_root))
    runs = pd.read_parquet(tmp_path / "results" / "runs")
    assert set(runs.status) == {"done"}, printed
    assert set(runs.device) == {"cuda"}
    assert runs.groupby("stage").size().to_dict() == dict.fromkeys(
        ("train", "encode", "prior", "sample", "score"), 2
    )
    assert (runs.peak_gpu_memory_bytes > 0).all()
