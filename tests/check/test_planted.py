"""Regressions planted on purpose, each caught by the level that should catch it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from collapsebench import metrics, ops
from collapsebench.check import images as datasets
from collapsebench.check import jobs, rows
from collapsebench.check import tensors as level0
from collapsebench.check import trajectories as level1
from collapsebench.check.records import compare
from collapsebench.job import encode
from collapsebench.plan import registry
from collapsebench.results import baselines, tables
from tests.check.planting import plant


def caught(findings):
    return {finding.subject for finding in findings if finding.verdict == "worse"}


@pytest.fixture(scope="module")
def tensors():
    path = baselines.file(level0.FILE)
    return level0.read(path)


@pytest.fixture(scope="module")
def trajectories():
    return level1.read(baselines.file(level1.FILE))


@pytest.fixture(scope="module")
def stored_jobs():
    return jobs.read(baselines.file(jobs.FILE))


@pytest.fixture(scope="module")
def images():
    return level1.images()


def trained(name, trajectories, pixels):
    """Level 1 for one method."""
    with level1.one_thread():
        found = {name: level1.trajectory(name, pixels)}
    return compare(1, trajectories, found, level1.RTOL)


@pytest.mark.parametrize(
    ("formula", "subjects"),
    [
        ("categorical_kl", {"gs_vq_vae", "dvae", "categorical KL of odds 1:1:2"}),
        ("dirichlet_kl", {"edvae", "Dirichlet KL of (2, 1)"}),
    ],
)
def test_a_wrong_sign_in_a_kl_is_caught_by_level_0(monkeypatch, formula, subjects):
    right = getattr(ops, formula)
    monkeypatch.setattr(ops, formula, lambda x: -right(x))
    assert caught(level0.run(baselines.file(level0.FILE))) == subjects


def test_ema_decay_of_0_9_is_caught_by_level_0_and_level_1(
    monkeypatch, tensors, trajectories, images
):
    method = registry.method_class("vq_vae_ema")
    build = method.__init__

    def hasty(self, codebook_size, code_dim, settings):
        build(self, codebook_size, code_dim, replace(settings, decay=0.9))

    monkeypatch.setattr(method, "__init__", hasty)
    (finding,) = compare(0, tensors, {"vq_vae_ema": level0.quantized(method)}, level0.RTOL)
    assert (finding.verdict, "updated" in finding.text) == ("worse", True)
    (finding,) = trained("vq_vae_ema", trajectories, images)
    assert finding.verdict == "worse"
    assert "bump the implementation of vq_vae_ema in methods/vq_vae_ema.py" in finding.text


def test_a_soft_perplexity_is_caught_by_level_1(monkeypatch, trajectories, images):
    class Soft(encode.Probe):
        def __call__(self, model):
            x = encode.to_batch(self.items, self.form, self.device)
            posterior = model.quantizer.posterior(model.encode(x))
            soft = metrics.perplexity(posterior.mean(dim=(0, 2, 3)).detach().numpy())
            return super().__call__(model) | {"perplexity": soft}

    monkeypatch.setattr(encode, "Probe", Soft)
    (finding,) = trained("dvae", trajectories, images)
    assert finding.verdict == "worse"
    assert finding.text.startswith("perplexity[0]")


@pytest.mark.parametrize(
    ("name", "member", "frozen"),
    [
        ("vq_vae", "parameter_groups", lambda self, lr: []),
        ("vq_vae_ema", "update", lambda self, z_e, tokens: None),
    ],
)
def test_a_frozen_codebook_is_caught_by_level_1(
    monkeypatch, trajectories, images, name, member, frozen
):
    monkeypatch.setattr(registry.method_class(name), member, frozen)
    (finding,) = trained(name, trajectories, images)
    assert finding.verdict == "worse"


def worse(records, *subjects):
    """The records with every number of these subjects a tenth larger."""

    def larger(array):
        return array if array.dtype.kind == "U" else array * 1.1

    return records | {
        name: replace(records[name], values={k: larger(v) for k, v in records[name].values.items()})
        for name in subjects
    }


def test_a_fault_that_all_methods_share_is_laid_at_the_trainers_door(trajectories):
    (finding,) = level1.common_cause(trajectories, worse(trajectories, *level1.shipped()))
    assert "look at the trainer" in finding.text
    (finding,) = level1.common_cause(trajectories, worse(trajectories, "dvae", "edvae"))
    assert (finding.subject, finding.verdict) == ("dalle", "worse")


def test_a_fault_that_stages_share_is_laid_at_the_first_ones_door(stored_jobs):
    changed = worse(stored_jobs, "prior, seed 42", "encode, seed 42", "score, other choices")
    (finding,) = jobs.common_cause(stored_jobs, changed)
    assert (finding.subject, finding.verdict) == ("encode", "worse")
    assert finding.text == (
        "prior, score read what it leaves: look here; bump the implementation of stage 'encode' in "
        "settings.py"
    )
    assert jobs.common_cause(stored_jobs, worse(stored_jobs, "prior, seed 42")) == []


@pytest.mark.parametrize(
    ("subject", "module", "right", "wrong"),
    [
        ("usage with a code chosen once", "metrics", "(counts > 0).mean()", "(counts > 1).mean()"),
        ("collapse by perplexity", "metrics", "PERPLEXITY\n        or", "PERPLEXITY\n        and"),
        (
            "recall on a line",
            "fidelity.distances",
            "(real), _checked(fake)",
            "(fake), _checked(real)",
        ),
        ("density on a line", "fidelity.distances", "nearest_k=k", "nearest_k=k + 1"),
        ("a pixel of 0.6 / 255 as a byte", "datasets._forms", ".add(0.5).floor()", ""),
        ("a pixel of 2 as a byte", "datasets._forms", "x.clamp(0, 1).mul", "x.mul"),
    ],
)
def test_a_wrong_formula_is_caught_by_level_0(monkeypatch, subject, module, right, wrong):
    plant(monkeypatch, module, right, wrong)
    assert subject in caught(level0.closed_forms())


def test_beta_on_the_wrong_side_is_caught_by_level_0(monkeypatch, tensors):
    plant(
        monkeypatch,
        "methods.vq_vae",
        "codebook + self.settings.beta * commitment",
        "self.settings.beta * codebook + commitment",
    )
    found = {"vq_vae": level0.quantized(registry.method_class("vq_vae"))}
    (finding,) = compare(0, tensors, found, level0.RTOL)
    assert finding.verdict == "worse"


def test_a_posterior_at_another_temperature_is_caught_by_level_0(monkeypatch, tensors):
    method = registry.method_class("gs_vq_vae")
    right = method.posterior
    monkeypatch.setattr(method, "posterior", lambda self, z_e: right(self, 2 * z_e))
    found = {"gs_vq_vae in evaluation": level0.evaluated(method)}
    (finding,) = compare(0, tensors, found, level0.RTOL)
    assert (finding.verdict, finding.text[:9]) == ("worse", "posterior")


@pytest.mark.parametrize(
    ("module", "right", "wrong", "changed"),
    [
        ("datasets", 'b"%d" % index', 'b"%d." % index', "split_hash[0] is "),
        (
            "datasets._cache",
            "return item\n",
            "return item[..., ::-1]\n",
            "train quadrants[0, 0, 0]",
        ),
    ],
)
def test_other_images_of_a_built_in_dataset_are_caught(
    monkeypatch, stored_jobs, tmp_path, module, right, wrong, changed
):
    registry.dataset("patches")  # made before the fault is in its base
    plant(monkeypatch, module, right, wrong)
    found = {"dataset patches": datasets.record("patches", tmp_path)}
    (finding,) = compare(1, stored_jobs, found, jobs.RTOL)
    assert finding.text.startswith(changed)
    assert "bump the version of patches in datasets/patches.py" in finding.text


@pytest.fixture(scope="module")
def frozen():
    """(metric rows, stated sensitivity) of the shipped ten-seed baseline."""
    folder = baselines.find("ci")
    return tables.read(folder, "metrics"), baselines.manifest(folder)["sensitivity"]


def part(frozen: pd.DataFrame, seeds) -> pd.DataFrame:
    return frozen[frozen["seed"].isin(seeds)]


def test_an_error_of_two_fifths_is_caught_by_level_2(frozen):
    frame, sensitivity = frozen
    seeds = sorted(frame["seed"].unique())
    new = part(frame, seeds[:3]).copy()
    new.loc[new["metric"] == "mse", "value"] *= 1.4
    found = caught(rows.compare(new, part(frame, seeds[3:]), sensitivity))
    cells = {subject for subject in found if subject.endswith("mse")}
    assert cells == found
    assert len(cells) >= 4  # of six


def test_unchanged_seeds_are_ok_at_level_2(frozen):
    """Three of the ten real seeds against the other seven, many times."""
    frame, sensitivity = frozen
    seeds = np.array(sorted(frame["seed"].unique()))
    rng = np.random.default_rng(0)
    words, alarms = [], []
    for _ in range(25):
        new = rng.choice(seeds, 3, replace=False)
        found = rows.compare(part(frame, new), part(frame, np.setdiff1d(seeds, new)), sensitivity)
        words += [f.verdict for f in found]
        alarms.append(bool(caught(found)))
    assert np.mean([word == "ok" for word in words]) >= 0.9
    assert np.mean(alarms) <= 0.2  # two metrics at 5 % each, 25 tries
