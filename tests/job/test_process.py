"""The process of a job."""

import platform
import subprocess
import sys

import pytest
import torch

from collapsebench.job import runner
from collapsebench.job.order import Order
from collapsebench.launch import start
from collapsebench.launch.tasks import Task
from collapsebench.results import provenance

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
