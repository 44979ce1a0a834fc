import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from prdc import compute_prdc
from scipy import linalg
from torch_fidelity.fidelity import main
from torch_fidelity.metric_prc import prc_features_to_metric

from collapsebench.fidelity import (
    features,
    frechet_distance,
    load_extractor,
    nearest,
    precision_recall,
    statistics,
    unique_fraction,
)
from collapsebench.settings import UserError


@pytest.fixture
def gaussians():
    """Two clouds of correlated features that overlap in part, (n, 20) float32 each."""

    def draw(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        mixing = rng.normal(size=(20, 20))
        real = rng.normal(size=(n, 20)) @ mixing
        fake = 0.8 * rng.normal(size=(n, 20)) @ mixing + 0.5
        return real.astype(np.float32), fake.astype(np.float32)

    return draw


def symmetric_form(x: np.ndarray, y: np.ndarray) -> float:
    """|mu_x - mu_y|^2 + tr(S_x) + tr(S_y) - 2 sum sqrt eig(S_x^1/2 S_y S_x^1/2)."""
    x, y = x.astype(float), y.astype(float)
    s_x, s_y = np.cov(x.T), np.cov(y.T)
    values, vectors = linalg.eigh(s_x)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    cross = linalg.eigvalsh(root @ s_y @ root).clip(0)
    shift = x.mean(axis=0) - y.mean(axis=0)
    return shift @ shift + np.trace(s_x) + np.trace(s_y) - 2 * np.sqrt(cross).sum()


def test_distance_of_two_sets_by_hand():
    # (mu_a - mu_b)^2 + (sd_a - sd_b)^2: means 1 and 5, variances 2 and 8 (ddof=1), then nothing.
    a, b = np.array([[0.0, 0.0], [2.0, 0.0]]), np.array([[3.0, 0.0], [7.0, 0.0]])
    assert frechet_distance(a, b) == pytest.approx(16 + (2**0.5 - 8**0.5) ** 2, rel=1e-12)


def test_distance_equals_the_symmetric_form(gaussians):
    real, fake = gaussians(500)
    assert frechet_distance(real, fake) == pytest.approx(symmetric_form(real, fake), rel=1e-6)


def test_distance_equals_the_symmetric_form_on_image_features(randconv, crops):
    x, y = (features(crops(400, seed), randconv, device="cpu") for seed in (0, 1))
    assert frechet_distance(x, y) == pytest.approx(symmetric_form(x, y), rel=1e-6)


def test_identical_sets_are_at_distance_zero(gaussians):
    real, _ = gaussians(500)
    assert abs(frechet_distance(real, real)) < 1e-8 * np.trace(statistics(real)["sigma"])


def test_the_order_does_not_matter_and_statistics_do_for_features(gaussians):
    real, fake = gaussians(200)
    distance = frechet_distance(real, fake)
    assert frechet_distance(fake, real) == pytest.approx(distance, rel=1e-9)
    assert frechet_distance(statistics(real), fake) == distance


@pytest.fixture
def fidelity_command(monkeypatch, capsys):
    """What torch-fidelity's own command line prints for two folders of PNG files."""

    def call(folders, *options: str) -> dict[str, float]:
        inputs = ["--input1", folders[1], "--input2", folders[0]]
        words = ["fidelity", *inputs, "--cpu", "--json", "--silent", "--save-cpu-ram", *options]
        monkeypatch.setattr(sys, "argv", words)
        capsys.readouterr()
        main()
        return json.loads(capsys.readouterr().out)

    return call


def save_pngs(images, folder):
    folder.mkdir()
    for index, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{index:05d}.png")
    return str(folder)


def test_numbers_equal_torch_fidelity_command_line(randconv, crops, fidelity_command, tmp_path):
    real, fake = crops(80, 0), crops(80, 1)
    folders = save_pngs(real, tmp_path / "real"), save_pngs(fake, tmp_path / "fake")
    printed = fidelity_command(
        folders, "--fid", "--prc", "--prc-neighborhood", "5", "--feature-extractor", randconv.name
    )

    x, y = (features(images, randconv, device="cpu") for images in (real, fake))
    assert printed["frechet_inception_distance"] == pytest.approx(frechet_distance(x, y), rel=1e-6)
    ours = precision_recall(x, y, 5)
    assert printed["precision"] == pytest.approx(ours["precision"], abs=1e-6)
    assert printed["recall"] == pytest.approx(ours["recall"], abs=1e-6)


@pytest.mark.slow
def test_inception_distance_equals_torch_fidelity_command_line(
    crops, random_inception, fidelity_command, tmp_path
):
    real, fake = crops(24, 0), 255 - crops(24, 1)
    folders = save_pngs(real, tmp_path / "real"), save_pngs(fake, tmp_path / "fake")
    printed = fidelity_command(
        folders, "--fid", "--feature-extractor-weights-path", str(random_inception)
    )

    extractor = load_extractor("inception-v3-compat", random_inception, allow_unverified=True)
    x, y = (features(images, extractor, device="cpu") for images in (real, fake))
    assert printed["frechet_inception_distance"] == pytest.approx(frechet_distance(x, y), rel=1e-6)


@pytest.mark.parametrize("k", [3, 5])
def test_precision_and_recall_equal_prdc_and_torch_fidelity(gaussians, k, capfd):
    real, fake = gaussians(300)
    found = precision_recall(real, fake, k)
    assert capfd.readouterr().out == ""

    assert found == compute_prdc(real, fake, nearest_k=k)
    theirs = prc_features_to_metric(
        torch.from_numpy(fake), torch.from_numpy(real), prc_neighborhood=k, verbose=False
    )
    assert found["precision"] == pytest.approx(theirs["precision"], abs=1e-6)
    assert found["recall"] == pytest.approx(theirs["recall"], abs=1e-6)
    assert 0 < found["recall"] < found["precision"] < 1


def test_precision_and_recall_equal_a_loop_over_50_points(gaussians):
    real, fake = gaussians(50)
    k = 3

    def distance(a, b):
        return float(np.sqrt(np.square(a.astype(float) - b.astype(float)).sum()))

    def radii(points):  # the point itself is the nearest of the sorted distances
        return [sorted(distance(p, q) for q in points)[k] for p in points]

    real_radii, fake_radii = radii(real), radii(fake)
    precise = recalled = covered = inside = 0
    for f in fake:
        hits = [distance(f, r) < radius for r, radius in zip(real, real_radii, strict=True)]
        precise += any(hits)
        inside += sum(hits)
    for r, radius in zip(real, real_radii, strict=True):
        recalled += any(distance(r, f) < s for f, s in zip(fake, fake_radii, strict=True))
        covered += any(distance(r, f) < radius for f in fake)

    expected = {
        "precision": precise / 50,
        "recall": recalled / 50,
        "density": inside / (k * 50),
        "coverage": covered / 50,
    }
    assert precision_recall(real, fake, k) == pytest.approx(expected, abs=1e-12)


def test_copies_bring_recall_to_zero(gaussians):
    real, _ = gaussians(100)
    found = precision_recall(real, np.repeat(real[:10], 10, axis=0), 5)
    assert found["recall"] == 0
    assert found["precision"] == 1


def test_unique_fraction():
    tokens = np.array([[[0, 1]], [[0, 1]], [[1, 0]], [[2, 2]]])
    assert unique_fraction(tokens) == 0.75
    assert unique_fraction(np.zeros((5, 2, 2, 3), np.uint8)) == 0.2


def test_nearest_reference_features():
    reference = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    samples = np.array([[0.0, 0.9], [2.0, 0.0]])
    assert nearest(samples, reference, 3).tolist() == [[2, 3, 0], [1, 0, 2]]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_no_numbers_are_one_clear_line(gaussians, value):
    real, fake = gaussians(20)
    fake[3, 4] = fake[3, 5] = fake[7, 0] = value
    line = r"^the features of 2 of 20 images are not finite numbers: [^\n]+$"
    with pytest.raises(UserError, match=line):
        frechet_distance(real, fake)
    with pytest.raises(UserError, match=line):
        precision_recall(real, fake, 3)


def test_too_few_images_for_k_neighbours_are_one_clear_line(gaussians):
    real, fake = gaussians(20)
    line = r"^precision and recall at k=5 take 7 to 20000 images a side, got 6 generated images$"
    with pytest.raises(UserError, match=line):
        precision_recall(real, fake[:6], 5)
    assert precision_recall(real, fake[:7], 5).keys() == {
        "precision", "recall", "density", "coverage",
    }  # fmt: skip


def test_too_many_images_for_prdc_are_refused_before_memory_runs_out():
    with pytest.raises(UserError, match="take 7 to 20000 images a side, got 20001 reference"):
        precision_recall(np.zeros((20_001, 1), np.float32), np.zeros((10, 1), np.float32), 5)


def test_one_image_has_no_covariance():
    with pytest.raises(UserError, match="at least 2 images a side, got 1"):
        frechet_distance(np.zeros((1, 4)), np.zeros((5, 4)))
