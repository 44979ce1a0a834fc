"""A launcher from outside, by an entry point alone; and what all launchers share."""

import json
import os

import pytest

from collapsebench.launch import launcher, site
from collapsebench.launch.launchers.slurm import Slurm
from collapsebench.launch.tasks import Task
from collapsebench.settings import UserError
from tests.commands import call
from tests.conftest import tiny_grid

PRETEND = '''
"""Pretend: a cluster that is a list of pods in a file, none of which ever starts."""

from dataclasses import dataclass

from collapsebench.launch.launcher import Launcher


class Pretend(Launcher):
    label = "Pretend"

    @dataclass(frozen=True)
    class Settings:
        namespace: str = "default"

    def run(self, title, todo, options):
        for task in todo:
            folder = task.job.queue(self.results)
            options.order.write(folder)
            pod = f"{self.settings.namespace}/{task.job.job_id}"
            self.pods([*self.pods(), pod])
            self.note_queued(folder, pod)
        print(f"{title}: {len(todo)} pods")
        return {task.job.job_id: "queued" for task in todo}

    def scripts(self, todo):
        return "kind: Job\\n" * len(todo)

    def active(self, ids):
        return set(ids) & set(self.pods())

    def cancel(self, ids):
        self.pods([pod for pod in self.pods() if pod not in ids])

    def pods(self, pods=None):
        file = self.results / "pods.txt"
        if pods is not None:
            file.write_text("\\n".join(pods))
        return file.read_text().split() if file.exists() else []
'''


def test_a_launcher_of_another_package_queues_is_asked_and_cancels(tmp_path, data_root):
    package = tmp_path / "site-packages"
    (package / "pretend-1.0.dist-info").mkdir(parents=True)
    (package / "pretend.py").write_text(PRETEND)
    about = package / "pretend-1.0.dist-info"
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: pretend\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[collapsebench.launchers]\npretend = pretend\n")
    (tmp_path / "tiny.toml").write_text(tiny_grid("dvae"))
    (tmp_path / "collapsebench.toml").write_text('[pretend]\nnamespace = "lab"\n')
    lines = [
        "list",
        "run -g tiny.toml --launcher pretend --dry-run",
        "run -g tiny.toml --launcher pretend --timeout 2h",
        "run -g tiny.toml",  # on this machine: what is queued there is not started here
        "cancel -g tiny",
        "run -g tiny.toml --launcher pretend -m dvae",
    ]
    path = os.pathsep.join([str(package), os.environ.get("PYTHONPATH", "")])
    said = call(lines, tmp_path, COLLAPSEBENCH_DATA=str(data_root), PYTHONPATH=path)
    listed, dry, queued, here, cancelled, again = said
    assert "  pretend  a cluster that is a list of pods" in listed
    assert dry.count("kind: Job") == 2
    assert "tiny: 2 pods" in queued
    assert "2 tasks are queued in Pretend already" in here
    assert "nothing to run" in here
    assert cancelled.count("cancelled ") == 2
    assert "tiny: 1 pods" in again
    (pod,) = (tmp_path / "results" / "pods.txt").read_text().split()
    space, _, job_id = pod.partition("/")
    assert space == "lab"
    folder = tmp_path / "results" / "jobs" / job_id
    assert json.loads((folder / "job.json").read_text())["method"] == "dvae"
    assert launcher.queued(folder) == {"pretend": [pod]}


def test_what_a_launcher_that_is_not_here_queued_is_not_started_but_can_be_forgotten(
    tiny_job, tmp_path
):
    job = tiny_job()
    folder = job.queue(tmp_path)
    launcher.Launcher("gone", tmp_path).note_queued(folder, "7")
    with pytest.raises(
        UserError, match="jobs are queued by 'gone', a launcher that is not installed"
    ):
        launcher.without_queued([Task(job, ("train",))], tmp_path)
    assert launcher.cancel(folder)
    assert launcher.without_queued([Task(job, ("train",))], tmp_path) == [Task(job, ("train",))]
    assert not launcher.cancel(folder)


@pytest.mark.parametrize("name", ["slrum", "slurm.py"])
def test_an_unknown_launcher_is_refused(tmp_path, name):
    with pytest.raises(UserError, match=f"unknown launcher {name!r}; did you mean 'slurm'"):
        launcher.find(name, tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[slurm]\npartitions = 1\n", "slurm.partitions'; did you mean 'partition'"),
        ("[slrum]\n", "unknown table 'slrum'; did you mean 'slurm'"),
        ("slurm = 3\n", r"'slurm' must be a table, \[slurm\]"),
        ("[slurm\n", "not valid TOML"),
    ],
)
def test_a_wrong_site_file_is_refused_in_one_line(tmp_path, text, message):
    (tmp_path / site.FILE).write_text(text)
    with pytest.raises(UserError, match=message):
        site.load(tmp_path / "results", "slurm", Slurm.Settings)
