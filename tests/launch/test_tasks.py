"""Order, slots, and what is tried again."""

import pytest

from collapsebench.launch import tasks
from collapsebench.launch.tasks import Slot, Task
from collapsebench.results import tables
from tests.conftest import ALL


def test_train_and_encode_of_all_cells_come_before_any_prior(tiny_job, tmp_path):
    jobs = [tiny_job(seed=seed, stages=ALL) for seed in (1, 2)]
    found = [(task.job.seed, task.stages) for task in tasks.tasks(jobs, tmp_path)]
    assert found == [
        (1, ("train", "encode")),
        (2, ("train", "encode")),
        (1, ("prior", "sample", "score")),
        (2, ("prior", "sample", "score")),
    ]


def test_only_what_is_missing_becomes_a_task(tiny_job, tmp_path):
    job = tiny_job()
    tables.write(tmp_path, "runs", f"{job.job_id}.train.{job.job_id}.done", [job.key("train")])
    assert [task.stages for task in tasks.tasks([job], tmp_path)] == [("encode",)]


def test_slots_divide_the_processor(monkeypatch):
    monkeypatch.setattr(tasks.provenance, "cores", lambda: 8)
    assert tasks.slots(2) == [Slot(4), Slot(4)]
    assert tasks.slots(16) == [Slot(1)] * 16
    assert tasks.slots(1, ["0", "1"], 2) == [Slot(2, "0"), Slot(2, "1"), Slot(2, "0"), Slot(2, "1")]


@pytest.mark.parametrize(
    ("failure", "retries", "attempts"),
    [
        ("out_of_memory", 0, [(1, True)]),  # once more, alone
        ("killed", 0, [(1, True)]),
        ("error", 0, []),
        ("error", 2, [(1, False), (2, False)]),
        ("timeout", 1, [(1, False)]),
        ("diverged", 5, []),  # the same again would diverge again
        ("cancelled", 5, []),
        ("interrupted", 5, []),
    ],
)
def test_what_is_tried_again_and_how(tiny_job, failure, retries, attempts):
    task, found = Task(tiny_job(), ("train",)), []
    while (task := tasks.again(task, failure, retries)) is not None:
        found.append((task.attempts, task.alone))
    assert found == attempts
