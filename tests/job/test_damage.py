"""Files of stages that are done: what harms one is named, and its stage made anew."""

import os
import shutil

import numpy as np
import pytest

from collapsebench.job import runner
from collapsebench.launch import tasks
from collapsebench.results import folder, runs, tables
from tests.conftest import ALL


def run(job, results, data_root):
    import torch

    from collapsebench.job.order import Order
    from collapsebench.job.workspace import Workspace

    own, order = folder.job_folder(results, job.job_id), Order(data_root=data_root)
    workspace = Workspace(job, own, results, torch.device("cpu"), 1, order)
    assert runner.run(workspace) == "done"


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def directory(path):
    path.unlink()
    path.mkdir()
    (path / "kept.txt").write_text("somebody's")


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def loop(path):
    path.unlink()
    path.symlink_to(path)


HARM = {
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:40]),
    "flipped": flipped,
    "another shape": lambda path: np.save(path, np.zeros((2, 2), np.uint8)),
    "a folder": directory,
    "a pipe": pipe,
    "a loop": loop,
}
PLACES = {
    "model.safetensors": "train", "tokens-train.npy": "encode", "prior.safetensors": "prior",
    "samples.npy": "sample", "neighbours.png": "score", "encode.json": "encode",
    "score.json": "score",
}  # fmt: skip


@pytest.mark.parametrize(
    ("harm", "name"),
    [(harm, "tokens-train.npy") for harm in HARM]
    + [("truncated", name) for name in PLACES if name != "tokens-train.npy"]
    + [("a folder", "encode.json"), ("a pipe", "score.json"), ("a folder", "model.safetensors")],
)
def test_a_file_that_was_harmed_is_named_and_made_anew(
    whole, tmp_path, data_root, capsys, harm, name
):
    shutil.copytree(whole[0], tmp_path / "r")
    results, job, stage = tmp_path / "r", whole[1], PLACES[name]
    path = folder.job_folder(results, job.job_id) / name
    before, rows = path.read_bytes(), tables.read(results, "metrics")
    HARM[harm](path)
    tasks.recover([job], results)
    assert name in capsys.readouterr().out
    assert [task.stages for task in tasks.tasks([job], results)] == [(stage,)]
    run(job, results, data_root)
    assert f"; {stage} is made anew" in capsys.readouterr().out
    assert path.read_bytes() == before
    assert tables.read(results, "metrics").equals(rows)
    assert len(tables.read(results, "runs")) == len(ALL)
    assert tasks.tasks([job], results) == []


def test_what_was_removed_to_save_room_is_no_harm(whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / "r")
    own = folder.job_folder(tmp_path / "r", whole[1].job_id)
    for name in ("model.safetensors", "samples.npy", "encode.json"):
        (own / name).unlink()
    assert tasks.tasks([whole[1]], tmp_path / "r") == []


@pytest.mark.parametrize("harm", [directory, pipe, loop], ids=["a folder", "a pipe", "a loop"])
def test_what_stands_in_the_place_of_rows_is_set_aside(whole, tmp_path, harm, capsys):
    shutil.copytree(whole[0], tmp_path / "r")
    (path, *_) = (tmp_path / "r" / "metrics").glob("*.encode.*")
    before = path.read_bytes()
    harm(path)
    assert runs.standing(tmp_path / "r").lost
    tasks.recover([whole[1]], tmp_path / "r")
    assert "no file" in capsys.readouterr().out
    assert path.read_bytes() == before
    assert runs.standing(tmp_path / "r").lost == {}
