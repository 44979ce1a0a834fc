"""Checkpoints hold all of a training's state; one that cannot be gone on from is set aside."""

import os
import zipfile

import numpy as np
import pytest
import torch

from collapsebench.job import encode, train
from collapsebench.results.folder import resumable
from tests.job.test_train import CPU, SHORT, fit, fresh, images


@pytest.fixture(scope="module")
def undisturbed():
    """(curve, weights) of the training that every other must equal."""
    whole = fresh("edvae")
    return fit(whole, SHORT).curve, weights(whole)


@pytest.fixture(scope="module")
def maps():
    """What the probe keeps of the same training."""
    return fit(fresh("edvae"), SHORT, probe=encode.Probe(images(16), CPU)).maps


def stopped_at(step, path, method="edvae", **options):
    calls = iter(range(100))
    with pytest.raises(train.Interrupted):
        fit(fresh(method), SHORT, stop=lambda: next(calls) == step, checkpoint=path, **options)


def weights(network):
    return {name: value.numpy().tobytes() for name, value in network.state_dict().items()}


@pytest.mark.parametrize("step", [1, 3, 7, 11])
def test_the_maps_of_a_resumed_training_are_those_of_an_undisturbed_one(tmp_path, maps, step):
    probes = [encode.Probe(images(16), CPU) for _ in range(2)]
    stopped_at(step, tmp_path / "train.ckpt", probe=probes[0])
    resumed = fit(fresh("edvae"), SHORT, probe=probes[1], checkpoint=tmp_path / "train.ckpt")
    assert len(maps) == 4
    assert np.stack(resumed.maps).tobytes() == np.stack(maps).tobytes()
    assert resumed.maps is probes[1].maps


def truncated(path):
    path.write_bytes(path.read_bytes()[:-100])


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def folder(path):
    path.unlink()
    path.mkdir()


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def loop(path):
    path.unlink()
    path.symlink_to(path)


def without(part):
    def harm(path):
        content = torch.load(path, weights_only=True)
        del content[part]
        torch.save(content, path)

    return harm


def no_torch_file(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "nothing")


HARM = {
    "empty": lambda path: path.write_bytes(b""),
    "truncated": truncated,
    "flipped": flipped,
    "garbage": lambda path: path.write_bytes(bytes(range(256)) * 40),
    "a folder": folder,
    "a pipe": pipe,
    "a loop": loop,
    "another zip": no_torch_file,
    "another content": lambda path: torch.save({"step": 7}, path),
    "a list": lambda path: torch.save([1, 2], path),
    "another model": lambda path: stopped_at(7, path, "vq_vae"),
    "another job": lambda path: stopped_at(7, path, identity="another"),
    "no identity": without("identity"),
    "no maps": without("maps"),
}


@pytest.mark.parametrize("harm", HARM.values(), ids=HARM)
def test_a_damaged_checkpoint_is_set_aside_and_training_begins_again(
    tmp_path, undisturbed, capsys, harm
):
    path = tmp_path / "train.ckpt"
    stopped_at(7, path)
    if harm in (HARM["another model"], HARM["another job"]):
        path.unlink()
    harm(path)
    again = fresh("edvae")
    capsys.readouterr()
    assert (fit(again, SHORT, checkpoint=path).curve, weights(again)) == undisturbed
    (said,) = capsys.readouterr().out.splitlines()
    assert said.startswith("train.ckpt cannot be used (")
    assert said.endswith("kept as train.ckpt.damaged and made anew")
    assert [p.name for p in tmp_path.iterdir()] == ["train.ckpt.damaged"]


def test_several_damaged_checkpoints_are_all_kept(tmp_path):
    for _ in range(3):
        (tmp_path / "train.ckpt").write_text("torn")
        assert not resumable(tmp_path / "train.ckpt")
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "train.ckpt.damaged", "train.ckpt.damaged-2", "train.ckpt.damaged-3",
    ]  # fmt: skip
