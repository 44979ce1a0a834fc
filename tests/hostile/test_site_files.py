"""What a site says of its cluster: nothing of it is more than one line or option of a script."""

import pytest

from collapsebench.job.order import Order
from collapsebench.launch.launchers import slurm
from collapsebench.launch.launchers.slurm import Slurm, arrays, parameters
from collapsebench.launch.tasks import Task
from collapsebench.settings import UserError

FILES = {
    "slurm = 3": "'slurm' must be a table",
    "slurm = []": "'slurm' must be a table",
    "[slrm]": "unknown table 'slrm'; did you mean 'slurm'?",
    "[slurm]\npartitio = 'x'": "did you mean 'partition'?",
    "[slurm]\npartition = 3": "partition': 3",
    "[slurm]\ncpus_per_task = 0": "cpus_per_task': 0",
    "[slurm]\ncpus_per_task = true": "cpus_per_task': True",
    "[slurm]\ncpus_per_task = '4'": "cpus_per_task': '4'",
    "[slurm]\ngpus_per_node = -1": "gpus_per_node': -1",
    "[slurm]\nmax_array_size = -1": "max_array_size': -1",
    "[slurm]\narray_parallelism = 0": "array_parallelism': 0",
    "[slurm]\nrequeues = 1e30": "requeues': 1e+30",
    "[slurm]\nnotice_s = inf": "notice_s': inf",
    "[slurm]\nsetup = 'module load cuda'": "setup': 'module load cuda'",
    "[slurm]\nsetup = [1]": "setup.0': 1",
    "[slurm]\nparameters = 3": "parameters': 3",
    "[slurm": "not valid TOML",
    f"a = {'[' * 10000}": "not valid TOML: nested too deeply",
    "\x00": "not valid TOML",
}
UNSAFE = [
    {"partition": "gpu\n#SBATCH --uid=0"},
    {"partition": "gpu; rm -rf x"},
    {"account": "a\rb"},
    {"account": "a\x00b"},
    {"mem": "4G\nrm"},
    {"setup": ("module load cuda\nrm -rf x",)},
    {"setup": ("a\u2028b",)},
    {"parameters": {"qos": "high\nrm"}},
    {"parameters": {"qos": "high;rm"}},
    {"parameters": {"qos\nrm": "high"}},
]


@pytest.fixture
def task(tiny_job):
    return Task(tiny_job(), ("train", "encode"))


@pytest.mark.parametrize(("text", "line"), FILES.items(), ids=[t[:50] for t in FILES])
def test_a_bad_site_file_is_named(tmp_path, text, line):
    (tmp_path / "collapsebench.toml").write_text(text)
    with pytest.raises(UserError) as caught:
        _ = Slurm("slurm", tmp_path / "results").settings
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("values", UNSAFE, ids=[repr(v)[:50] for v in UNSAFE])
def test_no_value_is_more_than_one_line_of_a_script(tmp_path, task, values):
    settings = Slurm.Settings(**values)
    array = arrays([task], tmp_path, settings)[0]
    with pytest.raises(UserError, match="is no value"):
        parameters(array, settings)


@pytest.mark.parametrize(
    ("said", "most"),
    [
        ("MaxArraySize            = 4\n", [4, 4, 2]),
        ("MaxJobCount = 3\nMaxArraySize = 10\n", [10]),
        ("MaxArraySize = 0\n", [10]),
        ("MaxArraySize = many\n", [10]),
        ("", [10]),
        (r"\\377MaxArraySize = \\377", [10]),
    ],
)
def test_more_tasks_than_an_array_takes_are_several(tmp_path, monkeypatch, task, said, most):
    program = tmp_path / "scontrol"
    program.write_text(f"#!/bin/sh\nprintf '{said}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    found = arrays([task] * 10, tmp_path, Slurm.Settings())
    assert [len(array.tasks) for array in found] == most


def test_the_site_says_how_much_an_array_takes(tmp_path, task):
    found = arrays([task] * 10, tmp_path, Slurm.Settings(max_array_size=3))
    assert [len(array.tasks) for array in found] == [3, 3, 3, 1]


def test_a_cluster_that_says_nothing_takes_slurms_default(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert slurm.largest_array() == 1001


@pytest.mark.parametrize("there", [[], ["sbatch"], ["srun"]])
def test_a_machine_without_slurm_is_told_so(tmp_path, monkeypatch, task, there):
    pytest.importorskip("submitit")
    for name in there:
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"no s(batch|run) here"):
        Slurm("slurm", tmp_path).submit([task], Order())


def test_a_queue_that_cannot_be_asked_is_told_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="which cannot be asked from here"):
        slurm.listed()


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """``cluster(sbatch="exit 1")``: programs of that name, in front of all others."""

    def install(**programs):
        for name, script in programs.items():
            (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
            (tmp_path / name).chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    return install


SUBMITTED = {  # what sbatch does -> what is said
    "": "sbatch gave no job id, look at squeue: ",
    "echo '123;cluster'": "sbatch gave no job id, look at squeue: ",
    "yes x | head -c 100000": "sbatch gave no job id, look at squeue: ",
    "exit 1": "Slurm refuses: sbatch does not say why",
    "kill -9 $$": "Slurm refuses: sbatch does not say why",
    r"printf 'no\nsuch\npartition\n' >&2; exit 255": "Slurm refuses: no; such; partition",
    "yes x | head -c 100000 >&2; exit 1": "Slurm refuses: x; x; x",
}


@pytest.mark.parametrize(("script", "line"), SUBMITTED.items(), ids=list(SUBMITTED))
def test_a_submission_that_fails_is_one_line(tmp_path, cluster, task, capfd, script, line):
    pytest.importorskip("submitit")
    cluster(sbatch=script, srun="", scontrol="")
    with pytest.raises(UserError) as caught:
        Slurm("slurm", tmp_path / "results").submit([task], Order())
    assert str(caught.value).startswith(line)
    assert len(str(caught.value)) < 400
    assert capfd.readouterr().err == ""
    assert not list((tmp_path / "results").rglob("queued.json"))


@pytest.mark.parametrize(
    "script", ["exit 1", "kill -9 $$", "sleep 60"], ids=["fails", "is killed", "says nothing"]
)
def test_a_queue_that_does_not_answer_is_told_so(cluster, monkeypatch, script):
    monkeypatch.setattr(slurm, "ANSWER_S", 0.3)
    cluster(squeue=f"exec {script}" if script[0] == "s" else script)
    with pytest.raises(UserError, match="which cannot be asked from here"):
        slurm.listed()


def test_a_queue_that_answers_in_other_letters_is_read(cluster):
    cluster(squeue=r"printf '\377\376 7_0\n'")
    assert "7_0" in slurm.listed()


def test_only_what_is_an_id_reaches_scancel(tmp_path, cluster):
    cluster(scancel=f'echo "$@" >> {tmp_path}/asked; exit 1')
    launcher = Slurm("slurm", tmp_path)
    with pytest.warns(UserWarning, match="not told to cancel 7_0, 8, which may still begin"):
        launcher.cancel(["--me", "a\0b", "7_0", "8", "x;y", ""])
    launcher.cancel(["--me"])
    assert (tmp_path / "asked").read_text() == "--quiet 7_0 8\n"


def test_a_cluster_that_says_nothing_for_long_takes_slurms_default(cluster, monkeypatch):
    monkeypatch.setattr(slurm, "ANSWER_S", 0.3)
    cluster(scontrol="exec sleep 60")
    assert slurm.largest_array() == 1001
