"""The command line as a person meets it."""

import json
import os
import subprocess
import sys
import time

import pytest

from collapsebench.author.lint import isolated
from collapsebench.author.lint.findings import Findings
from collapsebench.cli import main
from collapsebench.job import apart
from collapsebench.launch import start
from collapsebench.launch.launchers import local
from collapsebench.plan.job import Job
from collapsebench.results import tables
from tests.conftest import tiny_grid
from tests.launch.jobs_at_work import CONTEXT, spawn


@pytest.fixture
def folder(tmp_path, data_root, monkeypatch):
    """A folder of its own with a grid in it, where commands are called."""
    (tmp_path / "tiny.toml").write_text(tiny_grid("dvae", steps=6))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLLAPSEBENCH_DATA", str(data_root))
    monkeypatch.setenv("COLUMNS", "200")
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        yield tmp_path


@pytest.fixture
def call(folder, capfd, monkeypatch):
    """``call("run", "--grid", "tiny.toml")`` -> exit code and what was printed, in this process."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["collapsebench", *arguments])
        capfd.readouterr()
        returncode = 0
        try:
            main()
        except SystemExit as ended:
            returncode = ended.code
        return subprocess.CompletedProcess(arguments, returncode, *capfd.readouterr())

    return run


@pytest.fixture
def forked(monkeypatch):
    """Jobs, and what is tried of a user's method, in processes that start in no time."""
    monkeypatch.setattr(local, "spawn", spawn)
    monkeypatch.setattr(apart.multiprocessing, "get_context", lambda method: CONTEXT)


def test_a_grid_runs_once_and_then_has_nothing_to_do(call, tmp_path):
    first = call("run", "--grid", "tiny.toml", "-m", "dvae")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "tiny: 1 of 1 jobs complete" in first.stdout
    assert len(tables.read(tmp_path / "results", "runs")) == 2
    written = json.loads((tmp_path / "results" / "grids" / "tiny.json").read_text())
    assert [job["method"] for job in written["jobs"]] == ["dvae"]
    assert written["command"] == "collapsebench run --grid tiny.toml -m dvae"

    second = call("run", "--grid", "tiny.toml", "-m", "dvae")
    assert second.returncode == 0
    assert "nothing to run" in second.stdout
    assert len(tables.read(tmp_path / "results", "runs")) == 2

    status = json.loads(call("status", "--json").stdout)
    assert [(row["status"], row["stages_done"]) for row in status] == [("done", 2)]

    results, own = tmp_path / "results", Job.load(tmp_path / "results/jobs" / status[0]["job_id"])
    assert "as tiny before and are not in this run: 1;" in start.outside("tiny", [], results)
    assert start.outside("tiny", [own], results) == start.outside("other", [], results) == ""

    assert call("export", "metrics", "-o", "all.csv").returncode == 0
    assert (tmp_path / "all.csv").read_text().startswith("schema_version,job_id")


@pytest.mark.usefixtures("forked")
def test_a_failing_user_method_is_reported_with_its_log_and_exit_code_1(call, tmp_path):
    assert call("new-method", "my_vq").returncode == 0
    path = tmp_path / "my_vq.py"
    path.write_text(path.read_text().replace("channels_last(z_e)", "channels_last(z_f)"))
    flags = ["--timeout", "2h", "--checkpoint", "90s", "--data-root", "elsewhere"]
    ended = call("run", "--grid", "tiny.toml", "-m", "my_vq.py", "-m", "vq_vae", *flags)
    assert ended.returncode == 1
    assert "NameError: name 'z_f' is not defined" in ended.stdout
    assert 'my_vq.py", line' in ended.stdout
    assert "tiny: 1 of 2 jobs complete" in ended.stdout  # one failure stops nothing
    for path in (tmp_path / "results" / "jobs").glob("*/order.json"):
        order = json.loads(path.read_text())
        assert (order["limit_s"], order["checkpoint_s"]) == (7200, 90)
        assert order["data_root"] == str(tmp_path / "elsewhere")
    assert list((tmp_path / "elsewhere").iterdir())  # where the images were prepared


@pytest.mark.usefixtures("forked")
def test_debug_raises_where_it_broke(call, tmp_path):
    call("new-method", "my_vq")
    path = tmp_path / "my_vq.py"
    path.write_text(path.read_text().replace("channels_last(z_e)", "channels_last(z_f)"))
    with pytest.raises(NameError, match="name 'z_f' is not defined"):
        call("run", "--grid", "tiny.toml", "-m", "my_vq.py", "--debug")


def test_a_new_method_keeps_the_contract(call):
    call("new-method", "my_vq")
    ended = call("test-method", "my_vq.py")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "FAILED" not in ended.stdout
    again = call("new-method", "my_vq")
    assert again.returncode == 2
    assert "my_vq.py exists" in again.stderr


@pytest.mark.usefixtures("forked")
def test_a_broken_promise_is_said_to_the_author(call, tmp_path, monkeypatch):
    monkeypatch.setattr(isolated, "lint", lambda request: Findings(request.word, ()))
    call("new-method", "my_vq")
    path = tmp_path / "my_vq.py"
    path.write_text(path.read_text().replace("ops.straight_through(z_e, z_q)", "z_e + 1"))
    ended = call("test-method", "my_vq.py")
    assert ended.returncode == 1
    assert "FAILED" in ended.stdout


def test_what_takes_a_list_may_be_said_again(call):
    words = ("plan", "-g", "collapse", "-m", "vq_vae", "-m", "edvae", "--json")
    once, again = call(*words, "-K", "128,512"), call(*words, "-K", "128", "-K", "512")
    assert json.loads(once.stdout) == json.loads(again.stdout)
    assert [job["codebook_size"] for job in json.loads(again.stdout)["jobs"]] == 6 * [128, 512]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--grid", "tabels"], "unknown grid 'tabels'; did you mean 'tables'?"),
        (["run", "-m", "edvea"], "unknown method 'edvea'; did you mean 'edvae'?"),
        (["run", "-d", "digit"], "unknown dataset 'digit'; did you mean 'digits'?"),
        (["run", "-n", "dale"], "unknown network 'dale'; did you mean 'dalle'?"),
        (["plan", "--set", "train.stepz=3"], "setting 'train.stepz'; did you mean 'steps'?"),
        (["plan", "--set", "train.steps"], "is not of the form group.name=value"),
        (["plan", "-K", "many"], "--codebook-size 'many' must be whole numbers"),
        (["plan", "-K", "-5"], "must be a positive whole number up to 16,777,216, not -5"),
        (["run", "--only", "sede>3"], "unknown name 'sede'; did you mean 'seed'?"),
        (["run", "--timeout", "soon"], "--timeout 'soon' must be a number and s, m, h or d"),
        (["plan", "--scale", "papr"], "has no scale 'papr'; did you mean 'paper'?"),
        (["report", "--grid", "demo"], "demo"),
        (["status", "--grid", "demo"], "grid 'demo' was not run in results"),
        (["job", "nowhere"], "is not a job's folder"),
        (["export", "metric", "-o", "x.csv"], "unknown table 'metric'; did you mean 'metrics'?"),
        (["test-method", "nowhere.py"], "no such method file: nowhere.py"),
        (["new-method", "edvae"], "the name 'edvae' is taken"),
        (["data", "prepare", "-d", "cifr10"], "unknown dataset 'cifr10'; did you mean 'cifar10'?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_bad_input_is_one_line_and_exit_code_2(call, arguments, message):
    ended = call(*arguments)
    assert ended.returncode == 2, ended.stdout + ended.stderr
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1


def test_missing_data_and_cost_are_said_before_anything_starts(call, tmp_path):
    ended = call("run", "--grid", "codebook_size")
    assert ended.returncode == 2
    assert "180 jobs: 60 cells × 3 seeds" in ended.stdout
    assert "missing: CIFAR10" in ended.stdout
    assert "--scale demo" in ended.stdout
    assert not (tmp_path / "results").exists()


def test_an_expensive_run_without_a_terminal_is_not_started(call, tmp_path):
    ended = call("run", "--grid", "codebook_size", "-d", "digits")
    assert ended.returncode == 2
    assert "add -y to accept this cost" in ended.stdout
    assert not (tmp_path / "results" / "jobs").exists()


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["--version"]])
def test_help_and_list_do_not_load_torch(arguments):
    code = (
        "import sys\n"
        f"sys.argv = ['collapsebench', *{arguments}]\n"
        "from collapsebench.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print('loaded:', [m for m in ('torch', 'pandas', 'sklearn') if m in sys.modules])"
    )
    began = time.perf_counter()
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.rstrip().endswith("loaded: []")
    assert time.perf_counter() - began < 5  # tests/workspace holds the measured half second


@pytest.mark.parametrize(
    ("typed", "shown"),
    [("collapsebench insp", {"inspect"}), ("collapsebench run --grid codebook_", None),
     ("collapsebench plan -m edv", {"edvae"}), ("collapsebench run -d cifar10_", {"cifar10_5k"})],
)  # fmt: skip
def test_a_shell_completes_commands_and_names(typed, shown):
    words = {"_COLLAPSEBENCH_COMPLETE": "complete_bash", "COMP_WORDS": typed,
             "COMP_CWORD": str(len(typed.split()) - 1)}  # fmt: skip
    code = "from collapsebench.cli import app; app(prog_name='collapsebench')"
    run = subprocess.run([sys.executable, "-c", code], env=os.environ | words,
                         capture_output=True, text=True)  # fmt: skip
    assert set(run.stdout.split()) == (shown or {"codebook_size", "codebook_dim"})
