"""The process of a job."""

import platform
import subprocess
import sys

import pytest
import torch

from collapsebench.job import process, runner
from collapsebench.job.order import Order
from collapsebench.launch import start
from collapsebench.launch.tasks import Task
from collapsebench.results import disk, provenance, tables
from collapsebench.results.folder import JOB, THREADS

CHURN = """
import ctypes, resource
from collapsebench.job.process import keep_freed_memory
if {kept}:
    keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
size = 64 << 20
for i in range(11):
    if i == 1:  # the first block comes from the kernel in any case
        first = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = ctypes.c_void_p(libc.malloc(ctypes.c_size_t(size)))
    ctypes.memset(block, 1, size)
    libc.free(block)
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - first) / 10)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc's allocator")
def test_memory_of_large_tensors_is_taken_from_the_kernel_once():
    def faults(kept: bool) -> float:
        code = CHURN.format(kept=kept)
        return float(subprocess.check_output([sys.executable, "-c", code], text=True))

    assert faults(kept=True) < 10
    assert faults(kept=False) > 30  # of 16 384 small pages or 32 large ones


def test_a_run_in_this_process_leaves_as_many_threads_as_there_were(
    tmp_path, tiny_job, monkeypatch
):
    before, seen = torch.get_num_threads(), []
    monkeypatch.setattr(provenance, "cores", lambda: before + 2)
    monkeypatch.setattr(runner, "run", lambda *given: seen.append(torch.get_num_threads()))
    start.in_this_process([Task(tiny_job(), ("train",))], tmp_path, Order())
    assert (seen, torch.get_num_threads()) == ([before + 2], before)


def test_what_another_run_writes_while_a_job_begins_is_not_lost(
    tmp_path, tiny_job, workspace, monkeypatch
):
    work = workspace(tiny_job(), tmp_path)
    begun = []

    def begins_meanwhile(file: int) -> None:
        """Before the rename: the draft lies there, and the job's process tidies up."""
        begun.append(drafts := list(tmp_path.glob("*/.*.tmp")) + list(work.folder.glob("*.tmp")))
        if len(begun) % 2:
            runner.tidy(work)
            assert [draft.exists() for draft in drafts] == [False]

    monkeypatch.setattr(disk.os, "fsync", begins_meanwhile)
    Order(limit_s=60).write(work.folder)
    assert process.first_threads(work.folder, 2) == 2
    (work.folder / JOB).unlink()
    work.job.queue(tmp_path)
    row = work.job.key("train") | {"run_id": "a", "status": "error", "message": "as it was"}
    tables.write(tmp_path, "runs", work.job.key("train")["job_id"] + ".train-error-a", [row])

    assert len(begun) == 8  # each was written twice
    assert Order.read(work.folder).limit_s == 60
    assert (work.folder / THREADS).read_text() == "2"
    assert process.Job.load(work.folder).job_id == work.job.job_id
    assert list(tables.read(tmp_path, "runs")["message"]) == ["as it was"]
