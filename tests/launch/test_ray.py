"""A real local Ray cluster, where Ray is installed."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from collapsebench.results import tables
from tests.conftest import tiny_grid
from tests.launch.jobs_at_work import assert_committed_once

TWO_NODES = """
import sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
node = cluster.add_node(num_cpus=1)
print(cluster.address, flush=True)
sys.stdin.readline()
cluster.add_node(num_cpus=1)
cluster.remove_node(node, allow_graceful=False)
print("removed", flush=True)
sys.stdin.readline()
cluster.shutdown()
"""


@pytest.fixture
def run(tmp_path, data_root):
    """``run()`` -> a started run by Ray, in a folder of its own."""
    pytest.importorskip("ray", reason="ray is not installed")
    (tmp_path / "tiny.toml").write_text(tiny_grid("continuous", steps=1500))
    environment = os.environ | {"COLLAPSEBENCH_DATA": str(data_root), "COLUMNS": "200"}
    command = [sys.executable, "-m", "collapsebench", "run", "-g", "tiny.toml", "-m", "vq_vae",
               "--launcher", "ray", "--checkpoint", "1s"]  # fmt: skip

    def start():
        return subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    return start


def checkpointed(folder):
    while not (found := list((folder / "results" / "jobs").glob("*/train.ckpt"))):
        time.sleep(0.1)
    return found[0].parent


def assert_went_on(started, folder):
    said = started.communicate(timeout=400)[0]
    assert started.returncode == 0, said
    rows = tables.read(folder / "results", "runs")
    assert sorted(rows["stage"][rows["status"] == "done"]) == ["encode", "train"]
    assert (rows["launcher"] == "ray").all()
    assert_committed_once(folder / "results")


@pytest.mark.slow
def test_a_job_whose_worker_is_killed_goes_on(run, tmp_path):
    started = run()
    job = checkpointed(tmp_path)
    holder = next(p for p in psutil.process_iter() if str(job) in " ".join(p.cmdline()))
    os.kill(holder.ppid(), signal.SIGKILL)  # the Ray worker
    assert_went_on(started, tmp_path)


@pytest.mark.slow
def test_a_job_whose_node_is_removed_goes_on_elsewhere(run, tmp_path):
    pytest.importorskip("ray", reason="ray is not installed")
    nodes = subprocess.Popen(
        [sys.executable, "-c", TWO_NODES], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    address = nodes.stdout.readline().strip()
    (tmp_path / "collapsebench.toml").write_text(f'[ray]\naddress = "{address}"\n')
    started = run()
    checkpointed(tmp_path)
    nodes.stdin.write("\n")
    nodes.stdin.flush()
    assert nodes.stdout.readline().strip() == "removed"
    assert_went_on(started, tmp_path)
    nodes.communicate("\n", timeout=60)
