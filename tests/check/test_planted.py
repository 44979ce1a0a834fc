"""Regressions planted on purpose, each caught by the level that should catch it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from collapsebench import metrics, ops
from collapsebench.check import rows
from collapsebench.check import tensors as level0
from collapsebench.check import trajectories as level1
from collapsebench.check.records import compare
from collapsebench.job import encode
from collapsebench.plan import registry
from collapsebench.results import baselines, tables


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
def images():
    return level1.images()


def trained(name, trajectories, images):
    """Level 1 for one method."""
    with level1.one_thread():
        found = {name: level1.trajectory(name, images)}
    return compare(1, trajectories, found, level1.RTOL)


def test_an_unchanged_package_passes_levels_0_and_1():
    found = level0.run(baselines.file(level0.FILE)) + level1.run(baselines.file(level1.FILE))
    assert [f for f in found if f.verdict != "ok"] == []
    assert {"edvae", "fidelity", "prior", "last temperature"} <= {f.subject for f in found}


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
    found = {"vq_vae_ema": level0.quantized(method)}
    (finding,) = compare(0, tensors, found, level0.RTOL)
    assert (finding.verdict, "updated" in finding.text) == ("worse", True)
    (finding,) = trained("vq_vae_ema", trajectories, images)
    assert finding.verdict == "worse"
    assert "bump the implementation of vq_vae_ema" in finding.text


def test_a_soft_perplexity_is_caught_by_level_1(monkeypatch, trajectories, images):
    class Soft(encode.Probe):
        def __call__(self, model):
            x = encode.to_pixels(self.images, self.device)
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


def test_a_fault_that_all_methods_share_is_laid_at_the_trainers_door(trajectories):
    now = {
        name: replace(record, values={k: v * 1.1 for k, v in record.values.items()})
        for name, record in trajectories.items()
    }
    (finding,) = level1.common_cause(trajectories, now)
    assert "look at the trainer" in finding.text
    only_dalle = {name: record for name, record in now.items() if name in ("dvae", "edvae")}
    (finding,) = level1.common_cause(trajectories, trajectories | only_dalle)
    assert (finding.subject, finding.verdict) == ("dalle", "worse")


@pytest.fixture(scope="module")
def frozen():
    """(metric rows, stated sensitivity) of the shipped ten-seed baseline."""
    folder = baselines.find("ci")
    return tables.read(folder, "metrics"), baselines.manifest(folder)["sensitivity"]


def part(frozen: pd.DataFrame, seeds) -> pd.DataFrame:
    return frozen[frozen["seed"].isin(seeds)]


def test_an_error_of_one_fifth_is_caught_by_level_2(frozen):
    frame, sensitivity = frozen
    seeds = sorted(frame["seed"].unique())
    new = part(frame, seeds[:3]).copy()
    new.loc[new["metric"] == "mse", "value"] *= 1.2
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
