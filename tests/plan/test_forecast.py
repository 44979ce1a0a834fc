"""What a grid would cost, from arithmetic that can be checked by hand."""

import dataclasses
import math
import shlex

import pytest

from collapsebench.plan import costs, forecast
from collapsebench.plan.grid import FOLDER, load, with_overrides
from collapsebench.results import tables
from collapsebench.settings import UserError
from tests.conftest import ALL


def test_multiply_adds_are_those_of_the_convolutions(tiny_job):
    from collapsebench.networks import vqvae

    widths = tuple(sorted(tiny_job().settings["network"].items()))
    fixed, channel, dim = costs.network_macs("vqvae", 16, widths)
    head = vqvae.Encoder(16, 3, vqvae.Settings(**dict(widths))).head
    assert channel == head.weight[0].numel() * 16  # 4 x 4 positions
    encoder, latent = costs._counted_encoder("vqvae", 16, widths, 5)
    counted = encoder + costs._counted_decoder("vqvae", 16, widths, 7, latent)
    assert counted == fixed + 5 * channel + 7 * dim


def test_a_training_costs_three_forward_passes_per_image(tiny_job):
    job = tiny_job()
    side = costs.image_side(job)
    macs = 3 * costs.image_macs(job, side) * 20 * 16
    assert costs.modelled_seconds(job, "train", "a100") == pytest.approx(macs / 9.7e12)
    faster = costs.modelled_seconds(job, "train", "h200")
    assert faster == pytest.approx(macs / 9.7e12 * 2.04 / 4.8)


def test_a_measured_sibling_is_believed(tiny_job, tmp_path):
    job, other = tiny_job(seed=1), tiny_job(seed=2)
    for seed, wall in ((3, 7200.0), (4, 3600.0), (5, 3600.0)):
        done = tiny_job(seed=seed)
        row = done.key("train") | {"status": "done", "device": "cuda", "wall_s": wall,
                                   "steps": 20, "threads": 1,
                                   "device_name": "NVIDIA H100 80GB HBM3"}  # fmt: skip
        tables.write(tmp_path, "runs", f"{done.job_id}.train.{done.job_id}.done", [row])
    grid = load("ci")
    found = forecast.plan(grid, [job, other], tmp_path, "h100", None)
    assert found.hours["train"] == pytest.approx(2.0)  # the median, twice
    assert found.measured == 0.5  # train, but not encode
    assert forecast.plan(grid, [job], tmp_path, "a100", None).measured == 0.0  # another device


def test_what_is_done_is_counted_and_costs_nothing(tiny_job, tmp_path):
    job = tiny_job(stages=ALL)
    row = job.key("train") | {"status": "done"}
    tables.write(tmp_path, "runs", f"{job.job_id}.train.{job.job_id}.done", [row])
    found = forecast.plan(load("ci"), [job], tmp_path, "cpu", None)
    assert found.done == {"train": 1}
    assert found.missing == dict.fromkeys(ALL[1:], 1)
    assert "train" not in found.hours
    assert math.isclose(found.total_hours, sum(found.hours.values()))


def test_rows_of_other_methods_in_the_same_comparison_stand_beside(tiny_job, tmp_path):
    mine, theirs, unlike = tiny_job(), tiny_job("vq_vae_ema"), tiny_job(codebook_size=32)
    for job in (theirs, unlike):
        row = job.key("train") | {"status": "done"}
        tables.write(tmp_path, "runs", f"{job.job_id}.train.{job.job_id}.done", [row])
    found = forecast.plan(load("ci"), [mine], tmp_path, "cpu", None)
    assert found.beside == {theirs.label: str(tmp_path)}


def test_weights_are_lacking_until_a_file_is_named(tiny_job, tmp_path, monkeypatch):
    monkeypatch.delenv("COLLAPSEBENCH_INCEPTION_WEIGHTS", raising=False)
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    job = tiny_job(stages=ALL, **{"score.extractor": "inception-v3-compat"})
    (line,) = forecast.plan(load("ci"), [job], tmp_path, "cpu", None).lacking
    assert line.startswith(f"no Inception weights at {tmp_path}")
    weights = tmp_path / "weights.pth"
    weights.touch()
    assert forecast.plan(load("ci"), [job], tmp_path, "cpu", None, weights).lacking == []


def test_an_unknown_device_is_refused(tmp_path):
    with pytest.raises(UserError, match="unknown device 'tpu'; known: a100, cpu, h100, h200"):
        forecast.plan(load("ci"), [], tmp_path, "tpu", None)


def test_what_a_plan_advises_can_be_typed(tmp_path, capsys):
    path = tmp_path / "my grid.toml"
    path.write_text((FOLDER / "tables.toml").read_text())
    grid = load(str(path), "demo")
    with_lack = dataclasses.replace(forecast.plan(grid, [], tmp_path, "cpu", None), lacking=["x"])
    forecast.show(with_lack)
    assert f"run --grid {shlex.quote(str(path))} --scale demo" in capsys.readouterr().out


def test_ten_thousand_jobs_are_planned_once_each(tmp_path):
    sizes = {"dataset": ["digits"], "codebook_size": [16, 32, 64, 128], "code_dim": [4, 8, 16, 32]}
    grid = with_overrides(load("tables", "demo"), axes=sizes, seeds=range(105))
    from collapsebench.plan import resolve

    found = resolve.jobs(grid, grid.points())
    assert len({job.job_id for job in found}) == len(found) == 6 * 4 * 4 * 105
    assert forecast.plan(grid, found, tmp_path, "cpu", None).missing == dict.fromkeys(ALL, 10_080)
