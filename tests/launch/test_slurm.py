"""A real Slurm of one node, where it is installed; started and stopped here."""

import getpass
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from collapsebench.job import process
from collapsebench.job.order import Order
from collapsebench.launch import tasks
from collapsebench.launch.launchers.slurm import Slurm, Work, arrays, wall_hours
from collapsebench.launch.tasks import Task
from collapsebench.plan import costs
from collapsebench.results import folder, tables
from tests.conftest import tiny_grid
from tests.launch.jobs_at_work import assert_committed_once

CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPort=26817
SlurmdPort=26818
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=2
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


@pytest.mark.parametrize(
    ("estimate_h", "asked", "hours"), [(0.1, "", 1), (0.6, "", 4), (200, "", 96), (1, "90m", 2)]
)
def test_twice_the_estimate_is_asked_for_or_what_the_site_says(estimate_h, asked, hours):
    assert wall_hours(estimate_h * 3600, Slurm.Settings(time=asked)) == hours


def test_one_array_per_stage_group_and_cost_class(tiny_job, tmp_path):
    cheap, dear = tiny_job(), tiny_job(**{"train.steps": 50_000_000})
    after = Task(cheap, ("prior", "sample", "score"))
    todo = [Task(cheap, ("train", "encode")), Task(dear, ("train",)), after]
    found = [(a.stages, a.hours, len(a.tasks)) for a in arrays(todo, tmp_path, Slurm.Settings())]
    assert [(stages, count) for stages, _, count in found] == [
        ("train", 1), ("train", 1), ("after", 1),
    ]  # fmt: skip
    assert found[0][1] < found[1][1]


def test_node_hours_of_each_array_are_said(tiny_job, tmp_path, monkeypatch):
    monkeypatch.setattr(costs, "seconds", lambda job, stage, device, siblings: 900.0)
    jobs = [tiny_job(seed=seed, stages=("train", "encode", "prior")) for seed in (1, 2, 3)]
    said = Slurm("slurm", tmp_path).forecast(tasks.tasks(jobs, tmp_path))
    assert said.splitlines() == [  # half an hour and a quarter of one each; twice that is asked for
        "array train: 3 x 1 h of wall time, about 1.5 node-hours, at most 3",
        "array after: 3 x 1 h of wall time, about 0.75 node-hours, at most 3",
    ]


def test_site_settings_lie_beside_the_results(tmp_path):
    file = tmp_path / "collapsebench.toml"
    file.write_text('[slurm]\npartition = "gpu"\nsetup = ["module load cuda"]\n')
    found = Slurm("slurm", tmp_path / "results").settings
    assert found == Slurm.Settings(partition="gpu", setup=("module load cuda",))


@pytest.mark.parametrize(
    ("ends", "message"),
    [("exit 0", "no result, exit code 0; see the log"), ("kill -9 $$", "killed by SIGKILL")],
)
def test_an_element_whose_job_dies_without_a_word_has_failed(
    tiny_job, tmp_path, data_root, monkeypatch, ends, message
):
    pytest.importorskip("submitit", reason="submitit is not installed")
    monkeypatch.setattr(process, "command", lambda folder: ["sh", "-c", ends])
    place = tiny_job().queue(tmp_path / "results")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("_TEST_CLUSTER_", "slurm")  # submitit's own word for it
    order = Order(stages=("train", "encode"), data_root=data_root, launcher="slurm")
    Work(notice_s=1)(place, order)
    (row,) = tables.read(tmp_path / "results", "runs").to_dict("records")
    assert (row["stage"], row["status"], row["message"]) == ("train", "error", message)
    assert folder.last_said(place)["status"] == "error"


@pytest.fixture
def slurm(tmp_path):
    """The environment in which a cluster of this machine answers."""
    pytest.importorskip("submitit", reason="submitit is not installed")
    for program in ("slurmctld", "slurmd", "munged", "mungekey"):
        if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") is None:
            pytest.skip(f"{program} is not installed")
    if getpass.getuser() != "root":
        pytest.skip("Slurm's daemons need root")
    folder, host = tmp_path / "slurm", os.uname().nodename.partition(".")[0]
    (folder / "state").mkdir(parents=True)
    (folder / "slurm.conf").write_text(CONF.format(folder=folder, host=host))
    start_munge(folder)
    os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
    subprocess.run(["/usr/sbin/slurmctld", "-f", folder / "slurm.conf"], check=True)
    subprocess.run(["/usr/sbin/slurmd", "-f", folder / "slurm.conf", "-N", host], check=True)
    yield
    for name in ("slurmd", "slurmctld", "munged"):
        os.kill(int((folder / f"{name}.pid").read_text()), signal.SIGTERM)
    del os.environ["SLURM_CONF"]


def start_munge(folder):
    """A daemon of our own, as its key and socket are: nothing of the machine's is touched."""
    key = folder / "munge.key"
    subprocess.run(["/usr/sbin/mungekey", "--create", "--keyfile", key], check=True)
    command: list[str | Path] = ["/usr/sbin/munged", "--force", "--key-file", key]
    command += ["--socket", folder / "munge.socket", "--pid-file", folder / "munged.pid"]
    command += ["--log-file", folder / "munged.log", "--seed-file", folder / "munged.seed"]
    subprocess.run(command, check=True)


@pytest.mark.slow
def test_an_array_runs_with_one_job_preempted_and_nothing_is_queued_twice(
    slurm, tmp_path, data_root
):
    (tmp_path / "tiny.toml").write_text(tiny_grid("continuous", steps=1500))
    environment = os.environ | {"COLLAPSEBENCH_DATA": str(data_root), "COLUMNS": "200"}

    def call(*arguments):
        command = [sys.executable, "-m", "collapsebench", "run", "-g", "tiny.toml"]
        command += ["--launcher", "slurm", *arguments]
        found = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600
        )
        assert found.returncode == 0, found.stdout + found.stderr
        return found.stdout

    assert "#SBATCH --array=0-1" in call("--dry-run")
    said = call("--checkpoint", "1s")
    assert "2 tasks queued in Slurm as 1" in said
    assert "2 tasks are queued in Slurm already" in call()

    jobs = tmp_path / "results" / "jobs"
    while not (started := list(jobs.glob("*/train.ckpt"))):
        time.sleep(0.1)
    queued = (started[0].parent / "queued.json").read_text().split('"')[-2]
    subprocess.run(["scancel", "--signal=USR2", queued], check=True)  # the scheduler's warning
    while "interrupted" not in (started[0].parent / "log.txt").read_text():
        time.sleep(0.1)
    while subprocess.run(["squeue", "-h"], capture_output=True, text=True).stdout.strip():
        time.sleep(1)

    rows = tables.read(tmp_path / "results", "runs")
    assert sorted(rows["stage"][rows["status"] == "done"]) == ["encode", "encode", "train", "train"]
    assert (rows["launcher"] == "slurm").all()
    assert_committed_once(tmp_path / "results")
