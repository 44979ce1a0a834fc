"""What surrounds the process: variables, streams, limits, a folder that is gone."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from collapsebench.cli import streams
from collapsebench.report import build
from collapsebench.results import baselines, folder, grids
from collapsebench.settings import UserError, regular

PROGRAM = f"{sys.executable} -m collapsebench"
ENDS = {  # what is typed -> exit code, output, the line on standard error
    "mkdir x && cd x && rmdir ../x && {} status": (2, "", "the working folder was deleted"),
    "mkdir x && cd x && rmdir ../x && {} run -g demo": (2, "", "the working folder was deleted"),
    "{} status 2>/dev/full": (2, "", ""),
    "{} status 2>&-": (2, "", ""),
    "ulimit -v 2500000; {} plan -g demo": (2, "", "cannot be loaded: "),
    "{} status <&- >&- 2>&-": (2, "", ""),
}


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full, and limits that are kept")
@pytest.mark.parametrize(("line", "ends"), ENDS.items(), ids=list(ENDS))
def test_surroundings_that_take_nothing_are_no_traceback(tmp_path, line, ends):
    code, out, said = ends
    ended = subprocess.run(
        line.format(PROGRAM), shell=True, cwd=tmp_path, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stdout) == (code, out), ended.stderr
    assert said in ended.stderr
    assert ended.stderr.count("\n") == bool(said)


def test_a_warning_is_one_line_of_the_program(results):
    (results / "grids" / "torn.json").write_text("{\n")
    ended = subprocess.run(
        f"{PROGRAM} status", shell=True, cwd=results.parent, capture_output=True, text=True
    )
    assert ended.returncode == 0
    assert ended.stderr.startswith("collapsebench: skipped: results/grids/torn.json cannot be read")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("text", ["a\nb", "\x1b[2J", "\0"])
def test_whatever_a_warning_quotes_is_escaped(text):
    said = streams.warning_line(UserWarning(text), UserWarning, "x.py", 3, None)
    assert said[:-1].isprintable()
    assert said.startswith("collapsebench: ")


@pytest.mark.parametrize("value", ["abc", pytest.param("-99999999999999", marks=pytest.mark.slow)])
def test_matplotlibs_variables_are_of_no_account(call, results, monkeypatch, value):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", value)
    monkeypatch.setenv("MPLBACKEND", value)
    ended = call("report", "-g", "demo", "--to", "figures", "--no-images")
    assert ended.code == 0, ended.err


@pytest.mark.parametrize(
    "name", ["index.html", pytest.param("tables/table1.md", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("kind", ["a pipe", "a folder", "a device"])
def test_a_report_writes_over_files_alone(call, results, tmp_path, name, kind):
    place = tmp_path / "reports" / "demo" / name
    place.parent.mkdir(parents=True)
    if kind == "a pipe":
        os.mkfifo(place)
    elif kind == "a device":
        place.symlink_to("/dev/null")
    else:
        place.mkdir()
    call("report", "-g", "demo", "--to", "html,md", "--no-images").refuses(name)
    assert not place.is_file()
    assert not list((tmp_path / "reports").rglob("*.tmp"))


def test_a_report_that_does_not_fit_leaves_the_one_that_was_there(results, tmp_path, monkeypatch):
    page = build("demo", results, tmp_path / "reports", to=["html", "md"], images=False)
    before = {path: path.read_bytes() for path in page.parent.rglob("*") if path.is_file()}

    def full(self, text, **_):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        build("demo", results, tmp_path / "reports", to=["html", "md"], images=False)
    found = {path: path.read_bytes() for path in page.parent.rglob("*") if path.is_file()}
    assert found == before


@pytest.mark.parametrize("kind", ["a pipe", "a device"])
def test_what_is_no_regular_file_is_not_opened(results, tmp_path, kind):
    def put(path):
        path.unlink(missing_ok=True)
        os.mkfifo(path) if kind == "a pipe" else path.symlink_to("/dev/zero")

    job = next((results / "jobs").iterdir())
    put(job / folder.LOG)
    assert list(folder.log_tail(job)) == []
    put(grids.path(results, "demo"))
    with pytest.raises(UserError, match="no regular file"):
        grids.read(results, "demo")
    put(tmp_path / baselines.MANIFEST)
    with pytest.raises(UserError, match="no regular file"):
        baselines.described(tmp_path)


@pytest.mark.parametrize("kind", ["a pipe", "a device", "a folder"])
def test_the_log_of_a_job_is_a_file(call, results, kind):
    job = next((results / "jobs").iterdir())
    path = job / folder.LOG
    path.unlink(missing_ok=True)
    if kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    call("logs", job.name).refuses(folder.LOG)


def test_a_folder_or_nothing_is_left_to_whoever_opens_it(tmp_path):
    assert regular(tmp_path) == tmp_path
    assert regular(tmp_path / "x") == tmp_path / "x"


def test_warnings_are_formatted_for_people_once_the_program_runs(call):
    call("status").refuses("nothing was run")
    assert warnings.formatwarning is streams.warning_line
