"""One small job through all its stages, for real, and everything that can go wrong in one."""

import json
import math
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import collapsebench
from collapsebench import metrics
from collapsebench.job import runner, stages
from collapsebench.job.order import Order
from collapsebench.plan.job import Job
from collapsebench.results import claims, disk, tables
from tests.conftest import ALL, FEW


@pytest.fixture(scope="module")
def finished(tmp_path_factory, whole):
    """(results, job) of a GS-VQ-VAE that went through all five stages."""
    return shutil.copytree(whole[0], tmp_path_factory.mktemp("copy") / "results"), whole[1]


def values(results, split="test"):
    frame = tables.read(results, "metrics")
    return frame[frame["split"] == split].set_index("metric")


def test_every_stage_leaves_one_row_and_its_files(finished):
    results, job = finished
    runs = tables.read(results, "runs")
    assert sorted(runs["stage"]) == sorted(ALL)
    assert set(runs["status"]) == {"done"}
    assert set(runs["job_id"]) == {job.job_id}
    assert (runs["wall_s"] > 0).all()
    names = {p.name for p in (results / "jobs" / job.job_id).iterdir()}
    assert names >= {
        "job.json", "model.safetensors", "codebook.npy", "tokens-train.npy", "tokens-val.npy",
        "tokens-test.npy", "prior.safetensors", "samples.npy", "sample_tokens.npy", "samples.png",
        "reconstructions.png", "neighbours.png", "entropy_maps.npy",
    }  # fmt: skip
    assert not {"train.ckpt", "prior.ckpt"} & names
    assert not claims.held(results / "jobs" / job.job_id)


def test_metric_rows_name_every_metric_of_every_split(finished):
    results, _ = finished
    test = set(values(results).index)
    assert test >= {
        "mse", "psnr", "perplexity", "perplexity_batch_mean", "relative_perplexity", "usage",
        "dead_codes", "collapsed", "entropy_mean", "entropy_sd",
        "mutual_information", "effective_rank", "duplicate_codes", "unigram_entropy", "nll",
        "bits_per_token", "prior_gain",
    }  # fmt: skip
    train = set(values(results, "train").index)
    assert train >= {
        "rfd", "gfd", "fd_gap", "precision", "recall", "density", "coverage", "precision_k3",
        "unique_token_grids", "unique_images", "prior_gain",
    }  # fmt: skip


def test_stored_numbers_follow_from_the_stored_tokens(finished):
    results, job = finished
    tokens = np.load(results / "jobs" / job.job_id / "tokens-test.npy")
    counts = metrics.counts(tokens, 16)
    found = values(results)
    assert found.loc["perplexity", "value"] == metrics.perplexity(counts)
    assert found.loc["perplexity", "n_items"] == tokens.size
    assert found.loc["perplexity", "ceiling"] == pytest.approx(16, rel=0.01)
    codes = tables.read(results, "codes")
    row = codes[codes["split"] == "test"].iloc[0]
    assert list(row["counts"]) == counts.tolist()
    likelihood = found.loc["nll", "value"]
    assert found.loc["bits_per_token", "value"] == pytest.approx(likelihood / math.log(2))


def test_the_curve_has_the_fixed_images_beside_the_batches(finished):
    results, _ = finished
    curves = tables.read(results, "curves")
    train = curves[curves["stage"] == "train"]
    assert set(train["metric"]) >= {
        "loss", "reconstruction", "mse", "lr", "beta", "temperature", "kl", "perplexity", "usage",
        "dead_codes", "entropy_mean", "entropy_sd", "z_e_norm", "code_norm", "code_distance",
    }  # fmt: skip
    assert sorted(set(train["step"])) == [5, 10, 15, 20]


def test_distances_carry_their_protocol(finished):
    results, _ = finished
    metric = values(results, "train")
    protocols = tables.read(results, "protocols").set_index("protocol")
    record = protocols.loc[metric.loc["gfd", "protocol"]]
    assert record["extractor"] == "cb-randconv-v1"
    assert not record["rankable"]
    details = json.loads(record["details"])
    assert details["prior.epochs"] == 1
    assert details["sample.count"] == 256


def test_finished_work_is_not_done_again(finished, data_root):
    results, job = finished
    from collapsebench.job.workspace import Workspace

    folder = results / "jobs" / job.job_id
    before = sorted(p.name for p in (results / "runs").iterdir())
    order = Order(data_root=data_root)
    workspace = Workspace(Job.load(folder), folder, results, torch.device("cpu"), 1, order)
    assert runner.run(workspace) == "done"
    assert sorted(p.name for p in (results / "runs").iterdir()) == before


def test_rescoring_runs_only_the_score_stage(finished, tiny_job, workspace):
    results, job = finished
    rescored = tiny_job("gs_vq_vae", stages=ALL, **{"score.k": 4})
    assert rescored.job_id == job.job_id
    assert rescored.pending(results) == ("score",)
    model = results / "jobs" / job.job_id / "model.safetensors"
    before = model.stat().st_mtime_ns
    assert runner.run(workspace(rescored, results)) == "done"
    assert model.stat().st_mtime_ns == before
    runs = tables.read(results, "runs")
    assert runs["stage"].value_counts()["score"] == 2
    assert runs["stage"].value_counts()["train"] == 1


def test_the_weights_that_were_ordered_are_those_that_score(
    finished, tiny_job, workspace, tmp_path, monkeypatch
):
    weights = tmp_path / "mine.pth"
    weights.write_bytes(b"not Inception")
    results = shutil.copytree(finished[0], tmp_path / "results")
    job = tiny_job("gs_vq_vae", stages=ALL, **{"score.extractor": "inception-v3-compat"})
    for allowed, message in (
        (False, f"Inception weights at {weights} have SHA-256"),
        (True, f"no Inception weights in {weights}"),
    ):
        work = workspace(job, results)
        more = {"weights": weights, "allow_unverified_weights": allowed}
        work.order = replace(work.order, **more)
        assert runner.run(work) == "error"
        assert str(work.error).startswith(message)


def test_the_trained_model_can_be_loaded_from_python(finished, monkeypatch, data_root):
    results, job = finished
    monkeypatch.setenv("COLLAPSEBENCH_DATA", str(data_root))
    model = collapsebench.load(job.job_id[:10], results)
    tokens = np.load(results / "jobs" / job.job_id / "tokens-test.npy")
    decoded = model.images(torch.from_numpy(tokens[:2].astype(np.int64)))
    assert decoded.shape == (2, 3, 16, 16)
    assert len(collapsebench.load_results(results, "runs")) >= 5


def test_a_model_that_samples_one_image_only_is_a_result(tmp_path, tiny_job, workspace):
    job = tiny_job("edvae", stages=ALL)  # 20 steps: all tokens are still the same
    assert runner.run(workspace(job, tmp_path)) == "done"
    train = values(tmp_path, "train")
    assert train.loc["unique_images", "value"] == 1 / 256
    assert "rfd" in train.index
    assert "gfd" not in train.index
    runs = tables.read(tmp_path, "runs").set_index("stage")
    assert (
        runs.loc["score", "message"] == "all 256 samples are the same image: only rfd is measured"
    )


def test_who_slept_and_was_taken_over_leaves_nothing(tmp_path, tiny_job, workspace):
    job = tiny_job(stages=("train",))
    slept, other, steps = workspace(job, tmp_path), workspace(job, tmp_path), []

    def sleep():  # in its fifth step, until another process has done the job
        steps.append(len(steps))
        if len(steps) == 5:
            path = claims.path(slept.folder, claims.latest(slept.folder))
            disk.write_json(path, claims.holder(slept.folder) | {"released": True})
            assert runner.run(other) == "done"
        return "interrupted" if len(steps) >= 5 else ""

    slept.stop = sleep
    with pytest.raises(claims.Taken):
        runner.run(slept)
    assert tables.read(tmp_path, "runs")["status"].tolist() == ["done"]
    assert json.loads((slept.folder / "status.json").read_text())["status"] == "done"
    assert not slept.checkpoint("train").exists()


def test_the_same_seed_gives_identical_rows_twice(finished, tmp_path, tiny_job, workspace):
    again = tiny_job("gs_vq_vae")
    assert again.job_id == finished[1].job_id
    assert runner.run(workspace(again, tmp_path)) == "done"
    frames = []
    for results in (finished[0], tmp_path):
        rows = tables.read(results, "metrics").query("stage in ('train', 'encode')")
        rows = rows.sort_values(["stage", "metric", "split"], ignore_index=True)
        frames.append(rows[["metric", "split", "value"]])
    assert len(frames[0]) > 20
    assert frames[0].equals(frames[1])


def test_a_removed_file_is_made_again_without_new_rows(tmp_path, tiny_job, workspace):
    job = tiny_job(stages=("train",))
    assert runner.run(workspace(job, tmp_path)) == "done"
    (tmp_path / "jobs" / job.job_id / "model.safetensors").unlink()
    assert runner.run(workspace(tiny_job(), tmp_path)) == "done"
    assert tables.read(tmp_path, "runs")["stage"].tolist() == ["encode", "train"]


def run_user_method(tmp_path, workspace, data_root, body):
    from collapsebench.plan import resolve
    from collapsebench.plan.grid import Point
    from tests.conftest import TINY

    text = f"""
import torch
from collapsebench.quantizer import Incompatible, Quantized, Quantizer


class Mine(Quantizer):
    label = "mine"

    def __init__(self, codebook_size, code_dim, settings):
        super().__init__(codebook_size, code_dim, settings)
        self.codebook = torch.nn.Parameter(torch.randn(codebook_size, code_dim))

    def forward(self, z_e):
        {body}

    def embed(self, tokens):
        return self.codebook[tokens].permute(0, 3, 1, 2)
"""
    path = tmp_path / "mine.py"
    path.write_text(text)
    job = resolve.resolve(Point(str(path), "", FEW, 16, 4, 1, TINY), ALL[:2], "demo", data_root)
    work = workspace(job, tmp_path / "results")
    return runner.run(work), work, tables.read(tmp_path / "results", "runs")


def test_nan_is_diverged_and_never_perplexity_one(tmp_path, workspace, data_root):
    body = """tokens = torch.zeros_like(z_e[:, 0], dtype=torch.int64)
        return Quantized(z_e * float("nan"), tokens, z_e.sum() * 0)"""
    status, work, runs = run_user_method(tmp_path, workspace, data_root, body)
    assert status == "diverged"
    assert runs["status"].tolist() == ["diverged"]
    assert runs["message"].tolist() == ["loss is nan by step 5"]
    assert tables.read(tmp_path / "results", "metrics").empty
    assert work.job.pending(tmp_path / "results") == ()  # a final result


def test_an_exception_in_a_users_file_shows_that_files_frames(
    tmp_path, workspace, data_root, capsys
):
    body = 'raise KeyError("my own mistake")'
    status, work, runs = run_user_method(tmp_path, workspace, data_root, body)
    assert status == "error"
    assert runs["message"].tolist() == ["KeyError: 'my own mistake'"]
    shown = capsys.readouterr().out
    assert re.search(r'mine\.py", line \d+, in forward\n    raise KeyError', shown)
    assert "train.py" not in shown
    assert work.job.pending(tmp_path / "results") == ALL[:2]  # runs again next time


@pytest.mark.parametrize("code", ["0", "None", "3"])
def test_a_method_that_ends_the_process_has_failed(tmp_path, workspace, data_root, capsys, code):
    status, work, runs = run_user_method(
        tmp_path, workspace, data_root, f"raise SystemExit({code})"
    )
    message = f"the process was told to exit ({code}) before the stage ended"
    assert status == "error"
    assert runs["message"].tolist() == [f"RuntimeError: {message}"]
    assert "in forward\n    raise SystemExit" in capsys.readouterr().out
    assert not claims.held(work.folder)


def test_sizes_that_do_not_fit_are_incompatible(tmp_path, workspace, data_root):
    body = 'raise Incompatible("needs a codebook of 2^n codes")'
    status, _, runs = run_user_method(tmp_path, workspace, data_root, body)
    assert (status, runs["status"].tolist()) == ("incompatible", ["incompatible"])


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (MemoryError(), "out_of_memory"),
        (torch.OutOfMemoryError("CUDA out of memory"), "out_of_memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 12 bytes"), "out_of_memory"),
        (RuntimeError("something else"), "error"),
    ],
)
def test_failures_have_a_class(error, status):
    assert runner.classify(error)[0] == status


def test_four_codebooks_go_through_all_stages(tmp_path, tiny_job, workspace):
    job = tiny_job("rq_vae", stages=ALL)
    assert runner.run(workspace(job, tmp_path)) == "done"
    folder = tmp_path / "jobs" / job.job_id
    tokens, drawn = (np.load(folder / f"{name}.npy") for name in ("tokens-test", "sample_tokens"))
    assert np.load(folder / "codebook.npy").shape == (4, 16, 4)
    assert (tokens.shape[1:], drawn.shape) == ((4, 4, 4), (256, 4, 4, 4))
    codes = tables.read(tmp_path, "codes").query("split == 'test'").set_index("codebook")["counts"]
    assert [list(codes[q]) for q in range(4)] == [
        metrics.counts(tokens[..., q], 16).tolist() for q in range(4)
    ]
    likelihood = values(tmp_path)[lambda found: found["stage"] == "prior"]["value"]
    entropies = [metrics.entropy(np.array(counts)) for counts in codes]
    assert likelihood["unigram_entropy"] == pytest.approx(np.mean(entropies))
    assert likelihood["prior_gain"] == pytest.approx(np.mean(entropies) - likelihood["nll"])
    assert set(values(tmp_path, "train").index) >= {"rfd", "gfd", "unique_token_grids"}


def test_a_continuous_model_has_no_codebook_rows_and_no_prior(tmp_path, tiny_job, workspace):
    job = tiny_job("continuous", stages=ALL)
    assert runner.run(workspace(job, tmp_path)) == "incompatible"
    found = tables.read(tmp_path, "metrics")
    assert "perplexity" not in set(found["metric"])
    assert "mse" in set(found["metric"])
    runs = tables.read(tmp_path, "runs").set_index("stage")["status"]
    assert runs.to_dict() == {"encode": "done", "prior": "incompatible", "train": "done"}


def test_image_grids_have_a_gap_of_two_pixels(tmp_path):
    rows = np.zeros((2, 3, 4, 5, 3), np.uint8)
    stages.save_grid(tmp_path / "g.png", rows)
    with Image.open(tmp_path / "g.png") as image:
        picture = np.asarray(image)
    assert picture.shape == (2 * 6 + 2, 3 * 7 + 2, 3)
    assert (picture[:2] == 255).all()
    assert (picture[2:6, 2:7] == 0).all()
    assert (picture[6:8] == 255).all()


def test_inspecting_the_exported_tokens_gives_the_stored_numbers(finished, tmp_path):
    from collapsebench import inspect

    results, job = finished
    folder = results / "jobs" / job.job_id
    inspection = inspect.inspect(folder / "tokens-test.npy", 16, folder / "codebook.npy")
    inspect.write(inspection, ["json"], tmp_path)
    found = json.loads((tmp_path / "tokens-test.json").read_text())["codebooks"][0]
    frame = tables.read(results, "metrics")
    stored = frame[(frame["split"] == "test") & (frame["stage"] == "encode")].set_index("metric")
    for name in ("perplexity", "perplexity_batch_mean", "relative_perplexity", "usage",
                 "dead_codes", "collapsed", "unigram_entropy", "effective_rank",
                 "duplicate_codes"):  # fmt: skip
        assert found["metrics"][name] == stored.loc[name, "value"], name
    for name, ceiling in found["ceilings"].items():
        assert ceiling == pytest.approx(stored.loc[name, "ceiling"]), name
    assert inspection.summary.startswith("tokens-test.npy: ")
