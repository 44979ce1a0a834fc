"""How a job ended, from its exit code and from what it left."""

import pandas as pd
import pytest

from collapsebench.launch.outcomes import record, status_of
from collapsebench.launch.tasks import Task
from collapsebench.results import folder, runs, tables


def commit(results, job, stage, status="done"):
    key = job.key(stage)
    tables.write(results, "runs", runs.run_name(key, status, "0f"), [key | {"status": status}])


def test_exit_code_0_is_believed_where_there_are_results(tiny_job, tmp_path):
    job = tiny_job()
    task = Task(job, ("train", "encode"))
    job.queue(tmp_path)
    assert status_of(0, task, tmp_path) is None
    commit(tmp_path, job, "train")
    folder.say(folder.job_folder(tmp_path, job.job_id), "train", "done", "")
    assert status_of(0, task, tmp_path) is None
    assert status_of(0, Task(job, ("train",)), tmp_path) == "done"
    commit(tmp_path, job, "encode")
    assert status_of(0, task, tmp_path) == "done"


@pytest.mark.parametrize("status", ["diverged", "incompatible"])
def test_a_result_that_ends_a_job_early_is_one(tiny_job, tmp_path, status):
    job = tiny_job()
    job.queue(tmp_path)
    commit(tmp_path, job, "train", status)
    folder.say(folder.job_folder(tmp_path, job.job_id), "train", status, "")
    assert status_of(0, Task(job, ("train", "encode")), tmp_path) == status


@pytest.mark.parametrize(("code", "status"), [(3, "interrupted"), (8, "error"), (1, None)])
def test_other_exit_codes_say_it_themselves(tiny_job, tmp_path, code, status):
    assert status_of(code, Task(tiny_job(), ("train",)), tmp_path) == status


def test_a_killed_process_is_a_row_of_the_stage_that_it_was_in(tiny_job, tmp_path):
    job = tiny_job()
    job.queue(tmp_path)
    commit(tmp_path, job, "train")
    record(tmp_path, Task(job, ("train", "encode")), "error", "killed by SIGKILL", "local")
    rows = tables.read(tmp_path, "runs").set_index("status")
    assert rows.loc["error", "stage"] == "encode"
    assert rows.loc["error", "run_id"]


def test_a_final_result_is_the_last_attempt_whenever_it_ended():
    columns = ["job_id", "stage", "status", "finished_at", "attempt"]
    frame = pd.DataFrame(
        [["a", "train", "done", 1, 1], ["a", "train", "error", None, None],
         ["b", "train", "error", 1, 1], ["b", "train", "timeout", 2, 2]],
        columns=columns,
    )  # fmt: skip
    assert runs.last(frame).set_index("job_id")["status"].to_dict() == {"a": "done", "b": "timeout"}
